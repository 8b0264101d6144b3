"""What Python's JSON reader finds wrong with a line, in the words of a person who has to mend it."""

from __future__ import annotations

import json
from typing import Final

_CUT_SHORT: Final = "the line ends too early; put each object whole on one line"

#: By the beginning of the reader's message, which says of what kind a mistake is.
_WORDS: Final = {
    "Expecting ','": "a comma or a closing bracket is expected",
    "Expecting ':'": "a colon is expected after a field's name",
    "Expecting property name": "a field's name in double quotes is expected",
    "Expecting value": "a value is expected; text stands in double quotes",
    "Extra data": "something follows after the end; put each object on a line of its own",
    "Illegal trailing comma": "a comma with nothing after it",
    "Invalid \\escape": "a backslash that starts no escape; for a backslash itself write two",
    "Invalid \\u": "\\u has four hexadecimal digits after it",
    "Invalid control character": "a tab or another control character within a string; write it as an escape, as in \\t",
    "Unterminated string": "the string that starts here has no end",
}


def in_plain_words(error: json.JSONDecodeError) -> str:
    """Return what is wrong at the place of the error."""
    if error.msg.startswith("Expecting") and error.pos >= len(error.doc.rstrip()):
        return _CUT_SHORT
    # Another version of Python may have messages that aren't among these.
    return next((words for start, words in _WORDS.items() if error.msg.startswith(start)), "no JSON from here on")
