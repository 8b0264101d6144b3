from __future__ import annotations

import io
import json
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.errors import UsageError
from zsre.relations.examples import Mention
from zsre.runner.lines import LineStream, RawLine
from zsre.runner.records import Reason, Record, RecordSettings, Reject, parse_line


def _parse(content: bytes | object, **settings: object) -> Record | Reject | None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parse_line(RawLine(7, data, len(data)), "corpus.jsonl", RecordSettings(**settings))  # type: ignore[arg-type]


def test_a_record_is_read_with_its_fields() -> None:
    given_record = {
        "id": "d1",
        "text": "Ann founded Acme.",
        "entities": [{"start": 0, "end": 3, "label": "PERSON", "score": 1}],
        "url": "http://example.org",
        "year": 1999,
        "tags": ["a", "é"],
        "none": None,
    }
    record = _parse(given_record, keep=("url", "year", "tags", "none", "absent"))
    assert isinstance(record, Record)
    assert (record.id, record.text) == ("d1", "Ann founded Acme.")
    assert record.entities == (Mention(0, 3, "PERSON"),)
    assert record.kept == ("http://example.org", "1999", '["a", "é"]', None, None)


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (b'{"text": "cut', Reason.NOT_JSON, "column 10: the string that starts here has no end"),
        (b'{"text": "a"} x', Reason.NOT_JSON, "column 15: something follows after the end"),
        (b"[" * 100_000, Reason.NOT_JSON, "lists or objects within each other, too deep to be read"),
        (b'{"text": ' + b"9" * 5000 + b"}", Reason.NOT_JSON, "a number of more than 4,300 digits"),
        (b"[1, 2]", Reason.NOT_AN_OBJECT, "a list where one object a line was expected"),
        (b'{"text": "a", "id": 1, "text": "b"}', Reason.REPEATED_FIELD, "'text' is written more than once"),
        (b'{"text": "a", "more": {"x": 1, "x": 1}}', Reason.REPEATED_FIELD, "'x' is written more than once"),
        (b"null", Reason.NOT_AN_OBJECT, "null"),
        (b'{"text": "\xff"}', Reason.NOT_UTF8, "byte 11 of the line, 0xff, is not UTF-8; convert the file to UTF-8"),
        (b'\xef\xbb\xbf{"text": "\xff"}', Reason.NOT_UTF8, "byte 14 of the line"),
        (b'\0\0\0{"text": "a"}', Reason.NOT_JSON, "column 1: a value is expected"),
        ({"body": "a", "id": 1}, Reason.MISSING_TEXT, "no field 'text' (fields: 'body', 'id'); see --text-field"),
        ({}, Reason.MISSING_TEXT, "(fields: none)"),
        ({"text": None}, Reason.TEXT_NOT_A_STRING, "field 'text' is null"),
        ({"text": ["a"]}, Reason.TEXT_NOT_A_STRING, "a list"),
        ({"text": ""}, Reason.EMPTY_TEXT, "nothing but white space"),
        ({"text": " \n\u00a0"}, Reason.EMPTY_TEXT, "nothing but white space"),
        ({"text": "x" * 101}, Reason.TEXT_TOO_LONG, "101 characters; --max-text-chars sets the limit"),
        ({"text": "a\ud800b"}, Reason.LONE_SURROGATE, "character 2 of 'text' is '\\ud800'"),
        ({"text": "a", "id": "\udfff"}, Reason.LONE_SURROGATE, "character 1 of 'id'"),
        ({"text": "a", "url": "\udfff"}, Reason.LONE_SURROGATE, "character 1 of 'url'"),
        ({"text": "a", "id": True}, Reason.BAD_ID, "field 'id' is a boolean"),
        ({"text": "a", "id": 1.5}, Reason.BAD_ID, "field 'id' is a number; a string or a whole number is expected"),
        ({"text": "a", "id": " "}, Reason.BAD_ID, "field 'id' is empty"),
        (b'{"text": "a", "id": NaN}', Reason.BAD_ID, "field 'id' is a number; a string or a whole number is expected"),
        (b'{"text": "a", "id": ' + b"9" * 6000 + b"}", Reason.NOT_JSON, "a number of more than 4,300 digits"),
        ({"text": "a", "entities": {}}, Reason.BAD_ENTITIES, "field 'entities' is an object; a list is expected"),
        ({"text": "a", "entities": [3]}, Reason.BAD_ENTITIES, "entities[0] is a number; an object is expected"),
    ],
)
def test_a_bad_record_is_rejected_with_what_is_wrong(content: bytes | object, reason: Reason, detail: str) -> None:
    reject = _parse(content, max_text_chars=100, keep=("url",))
    assert isinstance(reject, Reject)
    assert (reject.file, reject.line, reject.reason) == ("corpus.jsonl", 7, reason)
    assert detail in reject.detail
    assert len(reject.text) <= 200


@pytest.mark.parametrize(
    ("entity", "detail"),
    [
        ({"start": 0, "end": 7, "label": "X"}, "entities[1] is 0 to 7, no span of a text of 6 characters"),
        ({"start": -1, "end": 2, "label": "X"}, "entities[1] is -1 to 2"),
        ({"start": 2, "end": 2, "label": "X"}, "entities[1] is 2 to 2"),
        ({"start": 3, "end": 5, "label": "X"}, "entities[1] is 3 to 5, which is nothing but white space"),
        ({"start": 0.0, "end": 2, "label": "X"}, "entities[1].start is a number; a whole number is expected"),
        ({"start": 0, "end": True, "label": "X"}, "entities[1].end is a boolean"),
        ({"end": 2, "label": "X"}, "entities[1].start is null or missing"),
        ({"start": 0, "end": 2}, "entities[1].label is null or missing; the entity's type is expected"),
        ({"start": 0, "end": 2, "label": ""}, "entities[1].label is empty"),
        ({"start": 0, "end": 2, "label": "\ud800"}, "entities[1].label"),
    ],
)
def test_a_bad_entity_is_pointed_at(entity: object, detail: str) -> None:
    reject = _parse({"text": "abc \t.", "entities": [{"start": 0, "end": 3, "label": "X"}, entity]})
    assert isinstance(reject, Reject)
    assert detail in reject.detail


def test_null_entities_are_none_given_and_an_empty_list_is_given() -> None:
    without, empty = _parse({"text": "a", "entities": None}), _parse({"text": "a", "entities": []})
    assert isinstance(without, Record) and isinstance(empty, Record)
    assert without.entities is None
    assert empty.entities == ()


def test_offsets_count_code_points() -> None:
    record = _parse({"text": "😀 Ann", "entities": [{"start": 2, "end": 5, "label": "PERSON"}]})
    assert isinstance(record, Record) and record.entities is not None
    assert record.text[record.entities[0].start : record.entities[0].end] == "Ann"


def test_an_id_may_be_missing_unless_its_field_was_named() -> None:
    record, reject = _parse({"text": "a"}), _parse({"text": "a"}, id_field="id")
    assert isinstance(record, Record) and isinstance(reject, Reject)
    assert record.id == "line-7"
    assert (reject.reason, reject.detail) == (Reason.MISSING_ID, "no field 'id'; see --id-field")


def test_a_whole_number_is_an_id() -> None:
    record = _parse({"text": "a", "key": 12}, id_field="key")
    assert isinstance(record, Record)
    assert record.id == "12"


def test_blank_lines_are_neither_records_nor_rejects() -> None:
    assert _parse(b" \t") is None


def test_a_byte_order_mark_is_skipped_and_nul_survives() -> None:
    record = _parse(b'\xef\xbb\xbf{"text": "a\\u0000b"}')
    assert isinstance(record, Record)
    assert record.text == "a\x00b"


def test_a_line_that_is_too_long_shows_its_beginning() -> None:
    reject = parse_line(RawLine(3, b"x" * 1000, 5_000_000, too_long=True), "corpus.jsonl", RecordSettings())
    assert isinstance(reject, Reject)
    assert reject.reason is Reason.LINE_TOO_LONG
    assert reject.detail == "5,000,000 bytes; --max-line-bytes sets the limit"
    assert reject.text == "x" * 200


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_every_line_of_a_utf16_corpus_says_so(encoding: str, line_end: str) -> None:
    lines = ["", '{"text": "Ann founded Acmé."}', '{"id": 1, "text": "小林在京都创办了一家公司。"}', "", ""]
    rejects = _rejects(line_end.join(lines).encode(encoding))
    assert {reject.reason for reject in rejects} == {Reason.NOT_UTF8}
    assert {reject.detail for reject in rejects} == {"looks like UTF-16; convert the file to UTF-8"}
    assert len(rejects) >= 2


@pytest.mark.parametrize("chars", [1, 5000], ids=["short records", "records longer than what is kept of a line"])
def test_line_ends_that_are_carriage_returns_alone_are_named(chars: int) -> None:
    content = (json.dumps({"text": "x" * chars}) + "\r").encode() * 20
    (short,) = _rejects(content)
    assert short.reason is Reason.NOT_JSON
    assert short.detail == "the line ends are carriage returns alone; convert them to line feeds"
    (long,) = _rejects(content, max_line_bytes=len(content) - 10)
    assert long.reason is Reason.LINE_TOO_LONG
    assert long.detail == f"{len(content):,} bytes; --max-line-bytes sets the limit; {short.detail}"


def _rejects(content: bytes, max_line_bytes: int = 2**20) -> list[Reject]:
    lines = LineStream(io.BytesIO(content), "corpus.jsonl", max_line_bytes)
    items = [parse_line(line, "corpus.jsonl", RecordSettings()) for line in lines]
    return [item for item in items if isinstance(item, Reject)]


_NAMES: bytes = b", ".join(b'"%d": 1' % number for number in range(50_000))


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"text": "a", ' + _NAMES + b', "49999": 2}', "'49999' is written more than once"),
        (b'{"text": "a"}' + b"\r" * 200_000 + b"x", "column 200014: something follows after the end"),
    ],
    ids=["many fields", "many carriage returns"],
)
def test_what_is_wrong_with_a_long_line_is_found_quickly(content: bytes, detail: str) -> None:
    started = time.monotonic()
    reject = _parse(content)
    assert isinstance(reject, Reject)
    assert detail in reject.detail
    assert time.monotonic() - started < 5


def test_numbers_that_json_does_not_have_are_kept_as_null() -> None:
    record = _parse(
        b'{"text": "a", "x": NaN, "y": [1, -Infinity, "NaN"], "z": 1e999, "s": "NaN"}', keep=("x", "y", "z", "s")
    )
    assert isinstance(record, Record)
    assert record.kept == (None, '[1, null, "NaN"]', None, "NaN")


@pytest.mark.parametrize("innermost", ["1", "NaN"])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a": ', "}")])
def test_a_kept_field_of_any_depth_is_kept_or_rejected(opened: str, closed: str, innermost: str) -> None:
    reasons = set()
    limit = sys.getrecursionlimit()
    for depth in range(limit - 250, limit):
        item = _parse(f'{{"text": "a", "x": {opened * depth}{innermost}{closed * depth}}}'.encode(), keep=("x",))
        reasons.add(item.reason if isinstance(item, Reject) else None)
    assert reasons <= {None, Reason.NOT_JSON}


@given(st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode), st.just(b'{"text": "\\ud800"}')))
def test_a_reject_of_any_bytes_can_be_written_as_utf8(data: bytes) -> None:
    item = _parse(data)
    if isinstance(item, Reject):
        json.dumps([item.text, item.detail], ensure_ascii=False).encode()
    elif isinstance(item, Record):
        item.text.encode()


@pytest.mark.parametrize(
    ("keep", "message"),
    [(("a", ""), "--keep a,: a field without a name"), (("a", "a"), "--keep a,a: 'a' is named twice")],
)
def test_a_list_of_kept_fields_is_checked(keep: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RecordSettings(keep=keep)
