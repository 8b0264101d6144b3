from __future__ import annotations

import datetime
import json
import struct
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runner.fakes import jsonl, make_job, run_file
from zsre.relations.errors import DataError
from zsre.runner import parquet_input
from zsre.runner.corpus import CutSettings, cut
from zsre.runner.inputs import find_segments
from zsre.runner.parquet_input import check_columns, read_rows, row_count, row_runs
from zsre.runner.reading import ShardReader
from zsre.runner.records import RecordSettings
from zsre.runner.storage import open_input

RECORDS = [
    {"id": "d1", "text": "Ann founded Acme. Ann married Bob.", "url": "u1"},
    {"id": "d2", "text": "\U0001f600 Cy was born in Paris."},
    {"id": "d3", "text": "Bo met Al.", "entities": [{"start": 0, "end": 2, "label": "PERSON"}]},
    {"id": "d4", "text": "Acme was founded by Dee.", "entities": []},
]
_ENTITY = pa.struct([("start", pa.int64()), ("end", pa.int32()), ("label", pa.string())])
SCHEMA = pa.schema(
    [("id", pa.string()), ("text", pa.large_string()), ("url", pa.string()), ("entities", pa.list_(_ENTITY))]
)


def test_rows_come_to_what_the_same_lines_come_to(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(RECORDS * 3))
    pq.write_table(pa.Table.from_pylist(RECORDS * 3, schema=SCHEMA), tmp_path / "a.parquet", row_group_size=5)
    job = make_job(records=RecordSettings(keep=("url",)))
    lines = [result.table for result in run_file(tmp_path / "a.jsonl", job, CutSettings(shard_lines=5))]
    rows = [result.table for result in run_file(tmp_path / "a.parquet", job, CutSettings(shard_lines=5))]
    assert len(rows) == len(lines) == 3
    assert pa.concat_tables(rows).equals(pa.concat_tables(lines)) and pa.concat_tables(rows).num_rows == 6


@given(groups=st.lists(st.integers(0, 12), max_size=6), shard=st.integers(1, 9), limit=st.none() | st.integers(1, 40))
def test_shards_hold_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], shard: int, limit: int | None
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    schema = pa.schema([("text", pa.string())])
    number = 0
    with pq.ParquetWriter(path, schema) as writer:
        for rows in groups:
            writer.write_table(pa.table({"text": [str(number + n) for n in range(rows)]}, schema=schema))
            number += rows
    shards = list(cut(find_segments([str(path)]), CutSettings(shard_lines=shard, limit=limit)))
    assert all(own.place.lines <= shard for own in shards)
    found = []
    for own in shards:
        lines = list(read_rows(str(path), own.place.first_line, own.place.lines, 2**20, ("text",)))
        assert [line.number for line in lines] == list(
            range(own.place.first_line, own.place.first_line + own.place.lines)
        )
        found += [json.loads(line.data)["text"] for line in lines]
    assert found == [str(n) for n in range(number if limit is None else min(number, limit))]
    if limit is None and number:
        assert [own.place.start for own in shards] == [0, *(own.place.end for own in shards[:-1])]
        assert shards[-1].place.end == path.stat().st_size


def test_large_rows_make_short_runs(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"{n}" * 3000 for n in range(100, 200)]}), path)
    runs = list(row_runs(str(path), 5000, 100_000))
    assert sum(rows for _, rows, _ in runs) == 100 == row_count(str(path))
    assert 5 <= len(runs) <= 20


def test_columns_that_nobody_reads_make_no_run_shorter(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pages = [{"html": f"{n}" * 3000, "links": [f"{n}" * 300]} for n in range(100, 200)]
    pq.write_table(pa.table({"text": ["x"] * 100, "page": pages}), path)
    assert len(list(row_runs(str(path), 5000, 100_000, ("text", "id")))) == 1
    assert len(list(row_runs(str(path), 5000, 100_000, ("text", "page")))) >= 5


def test_shards_in_their_order_are_read_in_one_go_and_others_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(n) for n in range(1000)]}), path, row_group_size=400)
    shards = list(cut(find_segments([str(path)]), CutSettings(shard_lines=90)))
    opened: list[str] = []

    def counted(name: str) -> BinaryIO:
        opened.append(name)
        return open_input(name)

    monkeypatch.setattr(parquet_input, "open_input", counted)
    reader = ShardReader(("text",))
    found = [json.loads(line.data)["text"] for shard in shards for line in reader.lines(shard)]
    assert found == [str(n) for n in range(1000)] and len(opened) == 1
    # The second to last is in the row group of the one before, the last in another.
    for shard in (shards[7], shards[0], shards[3], shards[5]):
        lines = list(reader.lines(shard))
        assert [line.number for line in lines] == list(range(shard.place.first_line, lines[-1].number + 1))
        assert len(lines) == shard.place.lines and int(json.loads(lines[0].data)["text"]) == lines[0].number - 1
    assert len(opened) == 4
    # One that is given up in the middle is no trouble to the next.
    next(iter(reader.lines(shards[4])))
    assert len(list(reader.lines(shards[5]))) == shards[5].place.lines
    reader.close()


def test_only_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"], "huge": ["y" * 10_000]}), path)
    (line,) = read_rows(str(path), 1, 1, 2**20, ("text", "id"))
    assert json.loads(line.data) == {"text": "x"}


def test_values_of_other_types_become_text_and_missing_ones_stay_out(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = {
        "text": [b"Ann met \xc3\x89va."],
        "day": [datetime.date(2024, 2, 29)],
        "time": [datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)],
        "price": [Decimal("1.50")],
        "tags": [["a", "b"]],
        "nothing": pa.array([None], pa.string()),
    }
    pq.write_table(pa.table(values), path)
    (line,) = read_rows(str(path), 1, 1, 2**20, tuple(values))
    assert json.loads(line.data) == {
        "text": "Ann met Éva.",
        "day": "2024-02-29",
        "time": "2024-02-29T12:30:00+00:00",
        "price": "1.50",
        "tags": ["a", "b"],
    }


def test_rows_that_are_no_documents_are_rejected_with_their_number(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = pa.array([b"fine", None, b"\xff\xfe", b"", b"x" * 200], pa.binary())
    pq.write_table(pa.table({"text": texts}), path)
    (result,) = run_file(path, make_job(), CutSettings(max_line_bytes=100))
    assert [(reject.line, reject.reason) for reject in result.rejects] == [
        (2, "missing_text"),
        (3, "lone_surrogate"),
        (4, "empty_text"),
        (5, "line_too_long"),
    ]
    assert result.rejects[-1].detail == "212 bytes; --max-line-bytes sets the limit"
    assert result.counts.lines == 5 and result.counts.documents == 1


def test_a_file_without_texts_or_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["x"], "id": ["y"]}), path)
    with pytest.raises(DataError, match=r"a.parquet: has no column 'text' \(columns: body, id\); see --text-field"):
        check_columns(str(path), "text")
    check_columns(str(path), "body")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read as Parquet: "):
        check_columns(str(path), "body")


def test_a_file_that_shrinks_underneath_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"] * 10}), path)
    (shard,) = cut(find_segments([str(path)]), CutSettings())
    pq.write_table(pa.table({"text": ["x"] * 9}), path)
    with pytest.raises(DataError, match="the file changed while it was being read"):
        list(read_rows(str(path), 1, shard.place.lines, 2**20, ("text",)))


#: Strings of which the second is no UTF-8, as some writers leave them.
_BAD_STRINGS = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(struct.pack("<3i", 0, 9, 12)), pa.py_buffer(b"Ann left.\xff\xfe!")]
)


def test_a_string_that_is_not_utf8_is_rejected_and_its_neighbours_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": _BAD_STRINGS}), path)
    (result,) = run_file(path, make_job())
    assert [(reject.line, reject.reason) for reject in result.rejects] == [(2, "lone_surrogate")]
    assert (result.counts.lines, result.counts.documents) == (2, 1)


_NANOSECOND = 1_234_567_890_123_456_789


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([_NANOSECOND], pa.timestamp("ns")), "2009-02-13T23:31:30.123456789"),
        (pa.array([1_234_567_891], pa.time64("ns")), "00:00:01.234567891"),
        (pa.array([1_234_567_891], pa.duration("ns")), 1.234567891),
        (pa.array([2**62], pa.duration("s")), float(2**62)),
        (pa.array([[_NANOSECOND]], pa.list_(pa.timestamp("ns"))), ["2009-02-13T23:31:30.123456789"]),
        (pa.array([[("k", 2**60)]], pa.map_(pa.string(), pa.duration("s"))), [["k", float(2**60)]]),
        (pa.array([2**62], pa.timestamp("us")), f"<value out of range: {2**62}>"),
        (pa.StructArray.from_arrays([_BAD_STRINGS[1:]], names=["s"]), {"s": "\udcff\udcfe!"}),
    ],
)
def test_values_that_python_cannot_hold_become_text(tmp_path: Path, column: pa.Array, expected: object) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"], "k": column}), path)
    (line,) = read_rows(str(path), 1, 1, 2**20, ("text", "k"))
    assert json.loads(line.data) == {"text": "x", "k": expected}


def test_a_text_that_is_not_latin_is_as_long_as_in_a_file_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["\u6587" * 100]}), path)
    (line,) = read_rows(str(path), 1, 1, 320, ("text",))
    assert not line.too_long and json.loads(line.data) == {"text": "\u6587" * 100}
