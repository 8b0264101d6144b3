"""From a raw line to a record, or to a reject that says what is wrong with it; every other line is blank."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from zsre.relations.errors import UsageError
from zsre.relations.examples import Mention
from zsre.runner.json_errors import in_plain_words
from zsre.runner.lines import BYTE_ORDER_MARK, RawLine, has_bare_returns, looks_like_utf16

#: How much of a rejected line is shown.
REJECT_TEXT_CHARS: Final = 200
DEFAULT_ID_FIELD: Final = "id"
ENTITIES_FIELD: Final = "entities"
_UTF16: Final = "looks like UTF-16; convert the file to UTF-8"
_BARE_RETURNS: Final = "the line ends are carriage returns alone; convert them to line feeds"
_TOO_DEEP: Final = "lists or objects within each other, too deep to be read"


class Reason(StrEnum):
    """Why a line is no document."""

    LINE_TOO_LONG = "line_too_long"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    REPEATED_FIELD = "repeated_field"
    MISSING_TEXT = "missing_text"
    TEXT_NOT_A_STRING = "text_not_a_string"
    EMPTY_TEXT = "empty_text"
    TEXT_TOO_LONG = "text_too_long"
    LONE_SURROGATE = "lone_surrogate"
    MISSING_ID = "missing_id"
    BAD_ID = "bad_id"
    BAD_ENTITIES = "bad_entities"


@dataclass(frozen=True, slots=True)
class Record:
    """A document to extract from.

    ``entities`` are those given with it (offsets into ``text``), ``None`` if it came without. ``kept`` holds
    the fields passed through, in the order they were asked for. ``size`` is the line's length in the input.
    """

    id: str
    text: str
    entities: tuple[Mention, ...] | None
    kept: tuple[str | None, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that is no document: where it stands, the reason, what exactly, and its beginning."""

    file: str
    line: int
    reason: Reason
    detail: str
    text: str


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Which fields of a record are read.

    With ``id_field`` unset, ``id`` is read and a record without one is called ``line-N``; a field named
    explicitly must be there. ``stop_at_reject`` ends the run at a line that is no document.
    """

    text_field: str = "text"
    id_field: str | None = None
    keep: tuple[str, ...] = ()
    max_text_chars: int = 1_000_000
    stop_at_reject: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names of all fields that are read."""
        return (self.text_field, self.id_field or DEFAULT_ID_FIELD, ENTITIES_FIELD, *self.keep)

    def __post_init__(self) -> None:
        if self.max_text_chars < 1:
            raise UsageError(f"--max-text-chars {self.max_text_chars}: must be at least 1")
        for position, name in enumerate(self.keep):
            if not name:
                raise UsageError(f"--keep {','.join(self.keep)}: a field without a name; check the commas")
            if name in self.keep[:position]:
                raise UsageError(f"--keep {','.join(self.keep)}: '{name}' is named twice; name it once")


class _RejectedError(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def parse_line(line: RawLine, file: str, settings: RecordSettings, id_prefix: str = "") -> Record | Reject | None:
    """Return the line's record, a reject, or ``None`` for a blank line.

    ``file`` goes into rejects, ``id_prefix`` into the id of a record that brings none.
    """
    if line.blank:
        return None
    try:
        fields = _fields(line)
        text = _text(fields, settings)
        return Record(
            id=_id(fields, settings, f"{id_prefix}line-{line.number}"),
            text=text,
            entities=_entities(fields.get(ENTITIES_FIELD), text),
            kept=tuple(_kept(fields.get(name), name) for name in settings.keep),
            size=line.size,
        )
    except _RejectedError as rejected:
        shown = line.data.removeprefix(BYTE_ORDER_MARK).decode("utf-8", errors="replace")
        return Reject(file, line.number, rejected.reason, rejected.detail, shown[:REJECT_TEXT_CHARS])


def _fields(line: RawLine) -> Mapping[str, Any]:
    if line.too_long:
        cause = f"; {_BARE_RETURNS}" if line.bare_returns else ""
        raise _RejectedError(
            Reason.LINE_TOO_LONG, f"{line.length or line.size:,} bytes; --max-line-bytes sets the limit{cause}"
        )
    try:
        # Decoded here because json.loads would take bytes for UTF-16 or UTF-32 where they look like it.
        content = line.data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if looks_like_utf16(line.data):
            raise _RejectedError(Reason.NOT_UTF8, _UTF16) from error
        byte = f"byte {error.start + 1} of the line, 0x{line.data[error.start]:02x},"
        detail = f"{byte} is not UTF-8; convert the file to UTF-8"
        raise _RejectedError(Reason.NOT_UTF8, detail) from error
    fields = _json(content, line.data)
    if not isinstance(fields, dict):
        raise _RejectedError(Reason.NOT_AN_OBJECT, f"{_json_type(fields)} where one object a line was expected")
    return fields


def _json(content: str, data: bytes) -> object:
    try:
        return _DECODER.decode(content)
    except json.JSONDecodeError as error:
        if looks_like_utf16(data):
            raise _RejectedError(Reason.NOT_UTF8, _UTF16) from error
        detail = _BARE_RETURNS if has_bare_returns(data) else f"column {error.colno}: {in_plain_words(error)}"
    except RecursionError:
        detail = _TOO_DEEP
    except ValueError:  # the only other one that the decoder has
        detail = f"a number of more than {sys.get_int_max_str_digits():,} digits"
    raise _RejectedError(Reason.NOT_JSON, detail)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of its fields; of two that are called the same, nobody can say which is meant."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated = next(name for name, count in counts.items() if count > 1)
        raise _RejectedError(Reason.REPEATED_FIELD, f"{_shown(repeated)} is written more than once")
    return fields


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once)


def _text(fields: Mapping[str, Any], settings: RecordSettings) -> str:
    name = settings.text_field
    if name not in fields:
        present = ", ".join(_shown(key) for key in list(fields)[:5]) or "none"
        raise _RejectedError(Reason.MISSING_TEXT, f"no field {_shown(name)} (fields: {present}); see --text-field")
    text = fields[name]
    if not isinstance(text, str):
        raise _RejectedError(Reason.TEXT_NOT_A_STRING, f"field {_shown(name)} is {_json_type(text)}")
    if not text.strip():
        raise _RejectedError(Reason.EMPTY_TEXT, f"field {_shown(name)} holds nothing but white space")
    if len(text) > settings.max_text_chars:
        raise _RejectedError(Reason.TEXT_TOO_LONG, f"{len(text):,} characters; --max-text-chars sets the limit")
    return _storable(text, name)


def _id(fields: Mapping[str, Any], settings: RecordSettings, default: str) -> str:
    name = DEFAULT_ID_FIELD if settings.id_field is None else settings.id_field
    value = fields.get(name)
    if value is None:
        if settings.id_field is None:
            return default
        raise _RejectedError(Reason.MISSING_ID, f"no field {_shown(name)}; see --id-field")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        found = "empty" if isinstance(value, str) else _json_type(value)
        raise _RejectedError(Reason.BAD_ID, f"field {_shown(name)} is {found}; a string or a whole number is expected")
    return _storable(value, name)


def _entities(value: object, text: str) -> tuple[Mention, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise _RejectedError(Reason.BAD_ENTITIES, f"field 'entities' is {_json_type(value)}; a list is expected")
    return tuple(_entity(entity, f"entities[{index}]", text) for index, entity in enumerate(value))


def _entity(value: object, place: str, text: str) -> Mention:
    if not isinstance(value, dict):
        raise _RejectedError(Reason.BAD_ENTITIES, f"{place} is {_json_type(value)}; an object is expected")
    start, end = _offset(value, "start", place), _offset(value, "end", place)
    label = value.get("label")
    if not 0 <= start < end <= len(text):
        raise _RejectedError(
            Reason.BAD_ENTITIES, f"{place} is {start} to {end}, no span of a text of {len(text):,} characters"
        )
    if text[start:end].isspace():
        raise _RejectedError(Reason.BAD_ENTITIES, f"{place} is {start} to {end}, which is nothing but white space")
    if not isinstance(label, str) or not label:
        found = "empty" if label == "" else _json_type(label)
        raise _RejectedError(Reason.BAD_ENTITIES, f"{place}.label is {found}; the entity's type is expected")
    return Mention(start, end, _storable(label, f"{place}.label"))


def _offset(entity: Mapping[str, object], name: str, place: str) -> int:
    offset = entity.get(name)
    if not isinstance(offset, int) or isinstance(offset, bool):
        detail = f"{place}.{name} is {_json_type(offset)}; a whole number is expected"
        raise _RejectedError(Reason.BAD_ENTITIES, detail)
    return offset


def _kept(value: object, name: str) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else _json_text(value)
    return None if text is None else _storable(text, name)


def _json_text(value: object) -> str | None:
    try:
        text = json.dumps(value, ensure_ascii=False)
        if "NaN" in text or "Infinity" in text:
            # Python reads and writes them, but JSON has no such numbers. As in most other languages, they become null.
            text = json.dumps(json.loads(text, parse_constant=lambda name: None), ensure_ascii=False)
    except RecursionError as error:
        # What could just be read may be a step too deep to be written.
        raise _RejectedError(Reason.NOT_JSON, _TOO_DEEP) from error
    return None if text == "null" else text


def _storable(text: str, name: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _RejectedError(
            Reason.LONE_SURROGATE,
            f"character {error.start + 1} of {_shown(name)} is {_shown(text[error.start])}, half of a pair",
        ) from error
    return text


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null or missing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
