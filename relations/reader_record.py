"""Typed access to JSON objects, and the building of sentences from them, with errors that name the field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

from zsre.relations.detokenise import Detokenised, detokenise
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_source import Place, numbered_lines, parse_json, read_json


class Record:
    """A JSON object of a data file that knows where it stands.

    ``name`` is the path of the object within its record (``h``, ``facts[2]``), empty for the record itself.
    Every accessor raises ``DataError`` where the field is missing or is not what its name says.
    """

    def __init__(self, value: object, place: Place, name: str = "") -> None:
        self.place = place
        self._name = name
        if not isinstance(value, dict):
            where = f'field "{name}": ' if name else ""
            raise place.error(f"{where}{_shown(value)} is not a JSON object; write it as {{…}}")
        self._fields = cast(dict[str, object], value)

    def __contains__(self, key: str) -> bool:
        return self._fields.get(key) is not None

    @property
    def keys(self) -> Sequence[str]:
        """The names of the fields, in the order of the file."""
        return list(self._fields)

    def error(self, key: str, problem: str) -> DataError:
        """Return an error about one field."""
        return self.place.error(f'field "{self.path(key)}": {problem}')

    def string(self, key: str) -> str:
        """Return a string."""
        value = self._get(key)
        if not isinstance(value, str):
            raise self.error(key, f"{_shown(value)} is not a string; write it in quotes")
        return value

    def integer(self, key: str) -> int:
        """Return a whole number."""
        value = self._get(key)
        if type(value) is not int:
            raise self.error(key, f"{_shown(value)} is not a whole number")
        return value

    def boolean(self, key: str) -> bool:
        """Return true or false."""
        value = self._get(key)
        if not isinstance(value, bool):
            raise self.error(key, f"{_shown(value)} is neither true nor false")
        return value

    def list(self, key: str, at: int | None = None) -> Sequence[object]:
        """Return a list of anything; with ``at``, the list at that index of a list of lists."""
        value = self._get(key) if at is None else self.list(key)[at]
        if not isinstance(value, list):
            raise self.error(_indexed(key, at), f"{_shown(value)} is not a list; write it as […]")
        return value

    def strings(self, key: str, at: int | None = None) -> Sequence[str]:
        """Return a list of strings, or the one at index ``at``."""
        values = self.list(key, at)
        for value in values:
            if not isinstance(value, str):
                raise self.error(_indexed(key, at), f"{_shown(value)} is not a string; write it in quotes")
        return cast(Sequence[str], values)

    def integers(self, key: str) -> Sequence[int]:
        """Return a list of whole numbers."""
        values = self.list(key)
        for value in values:
            if type(value) is not int:
                raise self.error(key, f"{_shown(value)} is not a whole number")
        return cast(Sequence[int], values)

    def span(self, key: str) -> tuple[int, int]:
        """Return the start and end that a list of two whole numbers gives."""
        values = self.integers(key)
        if len(values) != 2:
            raise self.error(key, f"{_shown(values)} is not a span; give its start and end: [3, 5]")
        return values[0], values[1]

    def record(self, key: str) -> Record:
        """Return an object within this one."""
        return Record(self._get(key), self.place, self.path(key))

    def records(self, key: str, at: int | None = None) -> Sequence[Record]:
        """Return a list of objects, or the one at index ``at``."""
        path = self.path(_indexed(key, at))
        return [Record(value, self.place, f"{path}[{index}]") for index, value in enumerate(self.list(key, at))]

    def path(self, key: str) -> str:
        """Return the name of a field as messages give it, such as ``h.pos``."""
        return f"{self._name}.{key}" if self._name else key

    def _get(self, key: str) -> object:
        if key not in self._fields:
            raise self.error(key, "is missing; this format needs it")
        return self._fields[key]


class SentenceBuilder:
    """Collects the mentions of a sentence, each span once, and checks them against the text."""

    def __init__(self, text: str, place: Place) -> None:
        self.text = text
        self._place = place
        self._mentions: list[Mention] = []
        self._index: dict[tuple[int, int], int] = {}
        if not text.strip():
            raise place.error("the text is empty; remove the record")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise place.error(
                f"the text holds the lone surrogate {text[error.start]!r} at {error.start}, half of a character; "
                "write the whole character"
            ) from None

    def mention(self, start: int, end: int, type: str | None, field: str) -> int:
        """Return the index of the mention ``text[start:end]``; the first type given for a span stays."""
        known = self._index.get((start, end))
        if known is not None:
            return known
        span = f'field "{field}": [{start}, {end}]'
        if not 0 <= start <= end <= len(self.text):
            raise self._place.error(
                f"{span} is no span of a text of {len(self.text)} characters; offsets count code points from 0, "
                "and the end is exclusive"
            )
        if not self.text[start:end].strip():
            raise self._place.error(f"{span} is an empty mention; give the characters that name the entity")
        index = self._index[start, end] = len(self._mentions)
        self._mentions.append(Mention(start, end, type))
        return index

    @property
    def mentions(self) -> Sequence[Mention]:
        """The mentions so far."""
        return self._mentions

    def build(
        self, id: str, source: str, pairs: Iterable[LabelledPair], complete: Iterable[str] = ()
    ) -> LabelledSentence:
        """Return the sentence with the pairs that carry a decision."""
        return LabelledSentence(id, source, self.text, tuple(self._mentions), tuple(pairs), frozenset(complete))


class TokenisedBuilder(SentenceBuilder):
    """Builds a sentence that is given as tokens: mentions are ranges of token indices."""

    def __init__(self, tokens: Sequence[str], place: Place) -> None:
        self._tokens: Detokenised = detokenise(tokens)
        super().__init__(self._tokens.text, place)

    def token_mention(self, start: int, end: int, type: str | None, field: str) -> int:
        """Return the index of the mention made of tokens ``start`` to ``end``, end exclusive."""
        count = len(self._tokens.starts)
        if not 0 <= start < count or end > count:
            wrong = start if not 0 <= start < count else end - 1
            raise self._place.error(
                f'field "{field}": there is no token {wrong} in a sentence of {count} tokens; indices count from 0'
            )
        if end <= start:
            raise self._place.error(f'field "{field}": [{start}, {end}] is an empty mention; its end is exclusive')
        return self.mention(self._tokens.starts[start], self._tokens.ends[end - 1], type, field)


def json_records(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield the JSON object on each line that is not blank, with the number of the line."""
    for number, line in numbered_lines(path):
        if line.strip():
            place = Place(str(path), f"line {number}")
            yield number, Record(parse_json(line, place), place)


def listed_records(path: Path, what: str) -> list[Record]:
    """Return the objects of a file that is one JSON list; ``what`` names one of them in messages."""
    values = read_json(path)
    if not isinstance(values, list):
        raise Place(str(path)).error(f"{_shown(values)} is not a list; this format is one list, of {what}s: [{{…}}, …]")
    return [Record(value, Place(str(path), f"{what} {index}")) for index, value in enumerate(values)]


def first_run(indices: Sequence[int]) -> tuple[int, int]:
    """Return the first run of consecutive indices, end exclusive; later ones are another mention."""
    start = end = indices[0]
    for index in indices:
        if index != end:
            break
        end += 1
    return start, end


def _indexed(key: str, at: int | None) -> str:
    return key if at is None else f"{key}[{at}]"


def _shown(value: object) -> str:
    """Return a value as it reads in a message, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:39] + "…"
