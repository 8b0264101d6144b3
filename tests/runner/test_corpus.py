from __future__ import annotations

import gzip
import io
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.errors import DataError, UsageError
from zsre.runner import corpus
from zsre.runner.corpus import CutSettings, Place, Shard, cut
from zsre.runner.inputs import Kind, find_segments
from zsre.runner.lines import LineStream, RawLine
from zsre.runner.reading import ShardReader

ZSTD = pa.Codec("zstd")
LINES = [b'{"text": "one"}', b"", b'{"text": "two"}', b'{"text": "three"}', b'{"text": "four"}']


def _halves() -> tuple[list[bytes], list[bytes]]:
    ended = [line + b"\n" for line in LINES]
    return ended[:2], ended[2:]


def _shards(path: Path, **settings: int) -> list[Shard]:
    return list(cut(find_segments([str(path)]), CutSettings(**settings)))


def _contents(shards: list[Shard]) -> list[list[tuple[int, bytes]]]:
    with closing(ShardReader(("text",))) as reader:
        return [[(line.number, line.data) for line in reader.lines(shard)] for shard in shards]


def test_a_plain_file_is_cut_into_byte_ranges_that_cover_it(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\n".join(LINES))
    shards = _shards(path, shard_lines=2)
    assert [shard.place for shard in shards] == [
        Place(0, first_line=1, lines=2, records=1, start=0, end=17),
        Place(0, first_line=3, lines=2, records=2, start=17, end=51),
        Place(0, first_line=5, lines=1, records=1, start=51, end=67),
    ]
    assert [(shard.index, shard.kind, shard.held) for shard in shards] == [(n, Kind.PLAIN, ()) for n in range(3)]
    assert _contents(shards)[1] == [(3, LINES[2]), (4, LINES[3])]


def test_the_same_text_is_cut_alike_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = {
        "plain": b"\n".join(LINES) + b"\n",
        "no_last_end": b"\n".join(LINES),
        "windows": b"\r\n".join(LINES) + b"\r\n",
        "zipped": gzip.compress(b"\n".join(LINES) + b"\n"),
        "zstd": ZSTD.compress(b"\n".join(LINES) + b"\n", asbytes=True),
        "zstd_twice": b"".join(ZSTD.compress(b"".join(part), asbytes=True) for part in _halves()),
        "zipped_twice": gzip.compress(b"\n".join(LINES[:2]) + b"\n") + gzip.compress(b"\n".join(LINES[2:])),
    }
    expected = [[(1, LINES[0]), (2, b""), (3, LINES[2])], [(4, LINES[3]), (5, LINES[4])]]
    for name, content in forms.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(content)
        assert _contents(_shards(path, shard_lines=3)) == expected, name
        with path.open("rb") as stream:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(stream)))
            shards = list(cut(find_segments(["-"]), CutSettings(shard_lines=3)))
            assert _contents(shards) == expected, name
            assert {shard.file for shard in shards} == {"standard input"}


def test_a_named_pipe_is_read_as_a_stream(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"\n".join(LINES),))
    writer.start()
    assert [line for shard in _contents(_shards(path)) for _, line in shard] == LINES
    writer.join()


def test_a_shard_also_ends_when_it_holds_enough_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "SHARD_BYTES", 30)
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\n".join(LINES))
    assert [shard.place.lines for shard in _shards(path)] == [3, 2]


def test_limit_counts_records_and_not_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\n".join(LINES))
    assert [line for shard in _contents(_shards(path, limit=2)) for _, line in shard] == LINES[:3]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize(("length", "too_long"), [(98, False), (100, False), (101, True), (102, True), (500, True)])
def test_a_line_is_too_long_only_beyond_the_limit(length: int, too_long: bool, end: bytes) -> None:
    content = b"x" * length + end
    lines = list(LineStream(io.BytesIO(content + (b"next\n" if end else b"")), "corpus", 100))
    assert (lines[0].number, lines[0].size, lines[0].too_long) == (1, len(content), too_long)
    assert lines[0].data == b"x" * min(length, 102), "of a long line only the beginning is held"
    assert [line.data for line in lines[1:]] == ([b"next"] if end else [])


def test_a_long_line_is_never_held_whole() -> None:
    class Endless(io.RawIOBase):
        left = 50_000_000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            count = min(len(buffer), self.left)
            buffer[:count] = b"x" * count
            self.left -= count
            return count

    tracemalloc.start()
    lines = list(LineStream(io.BufferedReader(Endless()), "corpus", 2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(line.size, line.too_long, len(line.data)) for line in lines] == [(50_000_000, True, 1000)]
    assert peak < 8 * 2**20


@given(st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b""))), st.integers(1, 4))
def test_shards_hold_every_byte_once(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int) -> None:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_bytes(b"\n".join([b"{}", *lines]))
    shards = _shards(path, shard_lines=size, max_line_bytes=8)
    with closing(ShardReader()) as reader:
        found = [line for shard in shards for line in reader.lines(shard)]
    assert sum(line.size for line in found) == path.stat().st_size
    assert [line.number for line in found] == list(range(1, len(found) + 1))


def test_a_byte_order_mark_alone_is_a_blank_line() -> None:
    assert RawLine(1, b"\xef\xbb\xbf \t\r", 6).blank
    assert not RawLine(1, b"\xef\xbb\xbf{}", 5).blank


@pytest.mark.parametrize(
    ("compress", "told"),
    [
        (gzip.compress, "Compressed file ended"),
        (lambda data: ZSTD.compress(data, asbytes=True), "Truncated compressed"),
    ],
)
def test_a_compressed_file_cut_short_gives_what_it_holds_and_then_an_error(
    tmp_path: Path, compress: Callable[[bytes], bytes], told: str
) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    lines = [os.urandom(50).hex().encode() for _ in range(20_000)]
    path.write_bytes(compress(b"\n".join(lines))[:-5000])
    found: list[bytes] = []
    with pytest.raises(DataError, match=rf"cannot be read beyond line \d+: {told}"), closing(ShardReader()) as reader:
        for shard in cut(find_segments([str(path)]), CutSettings(shard_lines=700)):
            found.extend(line.data for line in reader.lines(shard))
    assert 15_000 < len(found) < 20_000
    assert found == lines[: len(found)]


def test_a_file_that_changes_underneath_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\n".join(LINES))
    (shard,) = _shards(path)
    path.write_bytes(b"\n".join(LINES[:2]))
    with pytest.raises(DataError, match="changed while it was being read"):
        _contents([shard])


@pytest.mark.parametrize("name", ["shard_lines", "max_line_bytes", "limit"])
def test_a_setting_below_one_names_its_flag(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} 0: must be at least 1"):
        CutSettings(**{name: 0})


@pytest.mark.parametrize("left", [0, 40, 66])
def test_a_file_that_shrinks_before_it_is_cut_is_not_taken_for_its_end(tmp_path: Path, left: int) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'{"text": "twenty-two"}\n' * 10)
    segments = find_segments([str(path)])
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DataError, match=r"cannot be read beyond line \d: the file changed while it was being read"):
        list(cut(segments, CutSettings(shard_lines=2)))
