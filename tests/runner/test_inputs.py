from __future__ import annotations

import gzip
import logging
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsre.relations.errors import DataError, UsageError
from zsre.runner.inputs import DIGEST_BYTES, Kind, digest, ends_line, find_segments

LINE = b'{"text": "x"}\n'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.jsonl", "a.jsonl", "news/2024/x.ndjson", "news/y.jsonl.gz", "news/.hidden.jsonl", "news/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(LINE) if name.endswith(".gz") else LINE)
    return tmp_path


def _names(*given: str) -> list[tuple[str, str]]:
    return [(Path(segment.name).as_posix(), segment.id_prefix) for segment in find_segments(given)]


def test_kinds_are_told_by_content_and_not_by_name(place: Path) -> None:
    pq.write_table(pa.table({"text": ["x"]}), place / "table.jsonl")
    contents = {
        "plain.gz": (LINE, Kind.PLAIN),
        "zipped.jsonl": (gzip.compress(LINE), Kind.GZIP),
        "zstd.parquet": (pa.Codec("zstd").compress(LINE, asbytes=True), Kind.ZSTD),
        "table.jsonl": ((place / "table.jsonl").read_bytes(), Kind.PARQUET),
        "empty.jsonl": (b"", Kind.PLAIN),
    }
    for name, (content, kind) in contents.items():
        (place / name).write_bytes(content)
        (segment,) = find_segments([name])
        assert (segment.kind, segment.size, segment.id_prefix) == (kind, len(content), ""), name


def test_a_folder_is_its_files_by_name_without_hidden_ones_and_others(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zsre"):
        assert _names("news") == [("news/2024/x.ndjson", "2024/x.ndjson:"), ("news/y.jsonl.gz", "y.jsonl.gz:")]
    assert caplog.messages == ["news: 1 other files are left out, such as notes.txt"]


def test_a_pattern_is_the_files_that_match_it(place: Path) -> None:
    assert _names("*.jsonl") == [("a.jsonl", "a.jsonl:"), ("b.jsonl", "b.jsonl:")]
    assert _names("news/**/*.ndjson") == [("news/2024/x.ndjson", "news/2024/x.ndjson:")]
    assert [name for name, _ in _names(str(place / "news" / "*.gz"))] == [(place / "news/y.jsonl.gz").as_posix()]
    (place / "odd[1].jsonl").write_bytes(LINE)
    assert _names("odd[1].jsonl") == [("odd[1].jsonl", "")], "a file of that very name comes first"


def test_several_inputs_are_read_in_the_order_given() -> None:
    assert _names("b.jsonl", "a.jsonl") == [("b.jsonl", "b.jsonl:"), ("a.jsonl", "a.jsonl:")]
    assert _names("news", "b.jsonl") == [
        ("news/2024/x.ndjson", "news/2024/x.ndjson:"),
        ("news/y.jsonl.gz", "news/y.jsonl.gz:"),
        ("b.jsonl", "b.jsonl:"),
    ]


@pytest.mark.parametrize("given", [("a.jsonl", "a.jsonl"), ("a.jsonl", "./a.jsonl"), ("*.jsonl", "b.jsonl")])
def test_a_file_given_twice_is_an_error(given: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="is given twice, also as "):
        find_segments(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.jsonl", r"missing\.jsonl: No such file or directory; give a JSONL or Parquet file, a folder of them"),
        ("*.csv", r"\*\.csv: no file has a name like that"),
        ("empty", r"empty: holds no file that ends in \.jsonl, .* name the files themselves"),
    ],
)
def test_an_input_that_cannot_be_read_is_named(place: Path, given: str, message: str) -> None:
    (place / "empty").mkdir()
    (place / "empty" / "x.csv").touch()
    with pytest.raises(DataError, match=message):
        find_segments([given])


def test_standard_input_comes_alone() -> None:
    (segment,) = find_segments(["-"])
    assert (segment.kind, segment.size) == (Kind.STREAM, None)
    with pytest.raises(UsageError, match="cannot be read together with other inputs"):
        find_segments(["-", "a.jsonl"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_a_stream_and_is_not_opened_to_look_at_it(place: Path) -> None:
    os.mkfifo(place / "pipe")
    (segment,) = find_segments(["pipe"])
    assert (segment.kind, segment.size, segment.digest) == (Kind.STREAM, None, "")


def test_a_digest_is_of_beginning_end_and_size(place: Path) -> None:
    path = place / "large"
    content = bytearray(os.urandom(3 * DIGEST_BYTES))
    path.write_bytes(content)
    whole = digest("large", len(content))
    assert find_segments(["large"])[0].digest == whole
    for position in (0, DIGEST_BYTES - 1, 2 * DIGEST_BYTES, len(content) - 1):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert digest("large", len(content)) != whole
    path.write_bytes(content + b"more")
    assert digest("large", len(content)) == whole, "of a file that has grown, what was there before"
    assert digest("large", len(content) + 4) != whole


def test_whether_a_line_ends_where_a_file_did(place: Path) -> None:
    (place / "f").write_bytes(b"one\ntwo")
    assert [ends_line("f", size) for size in (0, 3, 4, 7)] == [True, False, True, False]
