"""Turn word tokens back into natural text, keeping the place of every token.

Several data sets come as tokens only. An encoder that reads running text at extraction must not be trained on
``the men 's event ( 1998 ) .``, so spaces are put where a writer would put them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: Tokens that the Penn Treebank writes for a character, and the character.
_TREEBANK: Final = {
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
    "``": '"',
    "''": '"',
}
_NO_SPACE_BEFORE: Final = frozenset({*",.;:!?)]}%°…”’»", "..", "...", "?!", "!!"})
_NO_SPACE_AFTER: Final = frozenset({*"([{$#£€¥“‘«", "US$"})
_ENDS_AND_JOINS: Final = frozenset({".-", ".–"})  # as in "U.S .- based"
_CLITIC_ENDS: Final = frozenset({"s", "re", "ve", "ll", "d", "m", "t"})
_CLITIC: Final = re.compile(r"(?:n['’]t|['’](?:s|re|ve|ll|d|m|t))", re.IGNORECASE)
_MONTH: Final = re.compile(r"(?:jan|feb|mar|apr|may|june?\b|july?\b|aug|sep|oct|nov|dec)", re.IGNORECASE)
_ENTITY: Final = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z]+\d*);", re.IGNORECASE)

#: Whether a word attaches to the one before it, and whether the next attaches to it.
_Sides: TypeAlias = tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class Detokenised:
    """Natural text and the code points ``text[starts[i]:ends[i]]`` of each token in it."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]


def normalise_token(token: str) -> str:
    """Return a token as it is written in text.

    Treebank brackets and quotes and HTML entities become their characters, runs of white space inside a token
    one space; a token of nothing but white space becomes the empty string.
    """
    if token.isalnum():
        return token
    if token in _TREEBANK:
        return _TREEBANK[token]
    if "&" in token:
        token = _ENTITY.sub(lambda entity: html.unescape(entity.group()), token)
    return " ".join(token.split())


def detokenise(tokens: Sequence[str]) -> Detokenised:
    """Join tokens into natural text.

    No space goes before closing punctuation and clitics (``'s``, ``n't``) nor after opening brackets and currency
    signs; straight quotes open and close in turn; hyphens and slashes between words are taken as part of a
    compound, en dashes between numbers as a range. A token of white space only takes up no characters.
    """
    words = [normalise_token(token) for token in tokens]
    quotes = _Quotes(words)
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    glued = True  # whether the next word follows without a space
    for index, word in enumerate(words):
        if word:
            # Most words; none of the rules below is about one.
            plain = word.isalnum()
            attaches, glues = (False, False) if plain else quotes.sides(index) or _sides(words, index)
            if not (glued or attaches):
                pieces.append(" ")
                position += 1
            glued = glues
        starts.append(position)
        pieces.append(word)
        position += len(word)
        ends.append(position)
    return Detokenised("".join(pieces), tuple(starts), tuple(ends))


class _Quotes:
    """Which straight quotes open and which close: state that runs along a sentence."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._single_left = sum(word == "'" for word in words)
        self._double_open = False
        self._single_open = False

    def sides(self, index: int) -> _Sides | None:
        """Take the word at ``index`` if it is, or begins with, a quote; words come in order."""
        word = self._words[index]
        after = self._words[index + 1] if index + 1 < len(self._words) else ""
        if word == '"':
            self._double_open = not self._double_open
            opens = self._double_open and bool(after)
            return not opens, opens
        if word == "'":
            return self._single(self._words[index - 1] if index else "", after)
        if self._double_open and word.startswith('"'):
            # A longer token, such as "- in: the " Foo "- style
            self._double_open = False
            return True, word.endswith(("-", "—"))
        return None

    def _single(self, before: str, after: str) -> _Sides:
        self._single_left -= 1
        if after in _CLITIC_ENDS:
            return True, True
        # "the Beatles ' album": an apostrophe. An opening quote has a partner further on.
        opens = not self._single_open and not before.endswith(("s", "S")) and self._single_left > 0
        self._single_open = opens
        return not opens, opens


def _sides(words: Sequence[str], index: int) -> _Sides:
    """Return the sides of a word that is no quote."""
    word = words[index]
    if word in _ENDS_AND_JOINS:
        return True, True
    if word in _NO_SPACE_BEFORE or _CLITIC.fullmatch(word):
        return True, False
    if word in _NO_SPACE_AFTER:
        return False, True
    joins = _joins(words, index)
    return joins, joins


def _joins(words: Sequence[str], index: int) -> bool:
    """Tell whether a dash or slash ties the words on both of its sides together."""
    word = words[index]
    if word not in {"-", "/", "–", "—"} or not 0 < index < len(words) - 1:
        return False
    before, after = words[index - 1][-1:], words[index + 1][:1]
    if word != "–":
        return before.isalnum() and after.isalnum()
    # A lone en dash between words is most often a parenthesis, between numbers a range, between dates spaced.
    dates = index + 2 < len(words) and _MONTH.match(words[index + 2]) is not None
    return before.isdigit() and after.isdigit() and not dates
