from __future__ import annotations

import json

import pytest

from zsre.runner.json_errors import in_plain_words

TOO_EARLY = "the line ends too early; put each object whole on one line"


@pytest.mark.parametrize(
    ("content", "column", "words"),
    [
        ("{", 2, TOO_EARLY),
        ("[ ", 3, TOO_EARLY),
        ('{"text"', 8, TOO_EARLY),
        ('{"text": "a"', 13, TOO_EARLY),
        ('{"text": "a', 10, "the string that starts here has no end"),
        ("{'text': 1}", 2, "a field's name in double quotes is expected"),
        ('{"text" 1}', 9, "a colon is expected after a field's name"),
        ('{"text": 1 "id": 2}', 12, "a comma or a closing bracket is expected"),
        ('{"text": a}', 10, "a value is expected; text stands in double quotes"),
        ("id,text", 1, "a value is expected; text stands in double quotes"),
        ('{"text": 1}, {"text": 2}', 12, "something follows after the end; put each object on a line of its own"),
        ('{"text": "\\q"}', 11, "a backslash that starts no escape; for a backslash itself write two"),
        ('{"text": "\\u12"}', 12, "\\u has four hexadecimal digits after it"),
        (
            '{"text": "a\tb"}',
            12,
            "a tab or another control character within a string; write it as an escape, as in \\t",
        ),
    ],
)
def test_mistakes_are_told_in_plain_words_with_their_column(content: str, column: int, words: str) -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(content)
    assert (caught.value.colno, in_plain_words(caught.value)) == (column, words)


def test_messages_of_other_pythons_show_nothing_odd() -> None:
    trailing = json.JSONDecodeError("Illegal trailing comma before end of object", '{"a": 1,}', 7)
    assert in_plain_words(trailing) == "a comma with nothing after it"
    assert in_plain_words(json.JSONDecodeError("Gobbledygook", "{}", 0)) == "no JSON from here on"
