from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import new_run
from zsre.relations.errors import OutputError
from zsre.runner.corpus import Place
from zsre.runner.counts import Counts
from zsre.runner.output import OutputDirectory, ShardRecord, default_output
from zsre.runner.recording import recorded
from zsre.runner.records import Reason, Reject
from zsre.runner.run_state import Wish
from zsre.runner.shard_triples import ShardResult
from zsre.runner.storage import LocalFolder

TABLE = pa.table({"head": ["Acme", "Globex"]})
REJECT = Reject("corpus.jsonl", 3, Reason.NOT_JSON, "detail", "{é")
PLACE = Place(0, first_line=1, lines=2, records=2, start=0, end=40)


def _result(index: int, table: pa.Table = TABLE, *rejects: Reject) -> ShardResult:
    return ShardResult(index, table, rejects, Counts(shards=1, triples=len(table)))


def _files(path: Path) -> list[str]:
    return sorted(entry.relative_to(path).as_posix() for entry in path.rglob("*") if entry.is_file())


def test_parts_records_rejects_and_run_facts_are_written(tmp_path: Path) -> None:
    output = new_run(tmp_path / "new" / "out").output
    output.write_run({"zsre": "1", "status": "running"})
    output.commit(_result(12, TABLE.slice(0, 0), REJECT), PLACE)
    output.commit(_result(0, TABLE, REJECT, REJECT), PLACE)
    output.write_rejects([12, 0])
    output.write_run({"zsre": "1", "status": "finished"})
    path = tmp_path / "new" / "out"
    assert _files(path) == [
        "part-00000.parquet",
        "part-00012.parquet",
        "rejects.jsonl",
        "run.json",
        "shards/00000.json",
        "shards/00012.json",
    ]
    assert pq.read_table(path / "part-00000.parquet") == TABLE
    assert pq.read_table(path / "part-00012.parquet").num_rows == 0
    assert pq.ParquetFile(path / "part-00000.parquet").metadata.row_group(0).column(0).compression == "ZSTD"
    lines = (path / "rejects.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"file": "corpus.jsonl", "line": 3, "reason": "not_json", "detail": "detail", "text": "{é"}
    ] * 3
    assert json.loads((path / "run.json").read_text())["status"] == "finished"


def test_a_record_says_what_a_shard_came_to(tmp_path: Path) -> None:
    output = new_run(tmp_path / "out").output
    output.commit(_result(7, TABLE, REJECT), PLACE)
    record = output.read_record(7)
    assert (record.index, record.place, record.part) == (7, PLACE, "part-00007.parquet")
    assert record.part_bytes == (tmp_path / "out" / "part-00007.parquet").stat().st_size
    assert record.counts == Counts(shards=1, triples=2)
    assert [reject["line"] for reject in record.rejects] == [3]
    assert [own.index for own in output.done()] == [7]


def test_a_run_whose_parts_went_elsewhere_is_not_finished(tmp_path: Path) -> None:
    there, elsewhere = (OutputDirectory(LocalFolder(tmp_path / name)) for name in ("there", "elsewhere"))
    told = pytest.raises(OutputError, match=r"00001\.json: was written, and is not there: .* don't see the same folder")
    elsewhere.begin()
    with told, recorded(there, (), Wish.GO_ON, {}) as run:
        run.commit(_result(0), PLACE)
        elsewhere.commit(_result(1), PLACE)
        run.note(1, PLACE, Counts(shards=1))
    assert json.loads((tmp_path / "there" / "run.json").read_text())["status"] == "running"


def test_a_record_that_was_changed_during_the_run_is_told_and_the_run_can_go_on(tmp_path: Path) -> None:
    output = OutputDirectory(LocalFolder(tmp_path / "out"))
    facts = {"corpus": "corpus.jsonl"}
    told = pytest.raises(OutputError, match=r"00000\.json: was changed since.*does that part again")
    with told, recorded(output, (), Wish.GO_ON, facts) as run:
        run.commit(_result(0), PLACE)
        run.commit(_result(1, TABLE, REJECT), PLACE)
        (tmp_path / "out" / "shards" / "00000.json").write_bytes(b"{")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "running"
    with recorded(output, (), Wish.GO_ON, facts) as run:
        assert list(run.done) == [1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"index": 1, "place": {}}', b"\xff"])
def test_a_damaged_record_is_none(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        ShardRecord.from_json(content)
    output = new_run(tmp_path / "out").output
    output.commit(_result(0), PLACE)
    (tmp_path / "out/shards/00000.json").write_bytes(content)
    assert list(output.done()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"index": 0},
        {"index": "1"},
        {"part": "part-00000.parquet"},
        {"place": {**asdict(PLACE), "end": "9"}},
        {"place": {**asdict(PLACE), "start": -1}},
        {"counts": {**Counts().to_dict(), "lines": "3"}},
        {"counts": {**Counts().to_dict(), "triples": -3}},
        {"counts": {**Counts().to_dict(), "documents": 3}},
        {"counts": {**Counts().to_dict(), "rejects": {"not_json": "1"}}},
        {"counts": {**Counts().to_dict(), "rejects": 7}},
    ],
)
def test_a_record_that_cannot_be_true_is_none(change: dict[str, object], tmp_path: Path) -> None:
    output = new_run(tmp_path / "out").output
    output.commit(_result(0), PLACE)
    output.commit(_result(1), PLACE)
    record = tmp_path / "out/shards/00001.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    assert [own.index for own in output.done()] == [0]


@pytest.mark.parametrize("damage", ["cut", "gone", "longer", "overwritten", "other metadata"])
def test_a_shard_whose_part_is_damaged_is_not_done(tmp_path: Path, damage: str) -> None:
    output = new_run(tmp_path / "out").output
    output.commit(_result(0), PLACE)
    output.commit(_result(1), PLACE)
    part = tmp_path / "out/part-00001.parquet"
    content = part.read_bytes()
    match damage:
        case "cut":
            part.write_bytes(content[:-10])
        case "gone":
            part.unlink()
        case "longer":
            part.write_bytes(content + b"\0")
        case "other metadata":
            part.write_bytes(content[:-20] + b"\xff" * 12 + content[-8:])
        case _:
            part.write_bytes(bytes(len(content)))
    assert [record.index for record in output.done()] == [0]


def test_a_new_run_removes_the_files_of_an_earlier_one_and_no_others(tmp_path: Path) -> None:
    output = new_run(tmp_path).output
    output.commit(_result(0, TABLE, REJECT), PLACE)
    output.commit(_result(100_000), PLACE)
    output.write_run({"zsre": "1", "status": "finished"})
    output.write_rejects([0, 100_000])
    for name in (".part-00002.parquet.tmp", "shards/.00002.json.tmp", "notes.md", "part-x.parquet"):
        (tmp_path / name).write_text("old")
    output.begin()
    assert _files(tmp_path) == ["notes.md", "part-x.parquet"]


def test_a_full_disk_leaves_no_half_part_and_says_what_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = new_run(tmp_path / "out").output
    output.commit(_result(0), PLACE)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError) as raised:
        output.commit(_result(1), PLACE)
    with pytest.raises(OutputError, match=r"rejects\.jsonl: cannot be written: No space left"):
        output.write_rejects([0])
    assert str(raised.value) == (
        f"{tmp_path / 'out' / 'part-00001.parquet'}: cannot be written: No space left on device; "
        "complete so far: 1 part; mend that, then the same command goes on"
    )
    assert _files(tmp_path / "out") == ["part-00000.parquet", "shards/00000.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_write_that_really_fails_is_reported(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
import pyarrow as pa
from tests.runner.fakes import new_run
from tests.runner.test_output import PLACE, _result
from zsre.relations.errors import OutputError
output = new_run(Path({str(tmp_path / "out")!r})).output
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    output.commit(_result(0, pa.table({{"n": [str(n * n) for n in range(20_000)]}})), PLACE)
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large; mend that" in done.stdout
    assert _files(tmp_path / "out") == []


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = new_run(tmp_path / "out").output

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        output.commit(_result(0), PLACE)
    assert _files(tmp_path / "out") == []


def test_parts_are_in_order_even_beyond_five_digits(tmp_path: Path) -> None:
    output = OutputDirectory(LocalFolder(tmp_path))
    for number in (100_000, 99_999, 2):
        output.commit(_result(number), PLACE)
    assert output.part_names() == ["part-00002.parquet", "part-99999.parquet", "part-100000.parquet"]


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ("corpus.jsonl", "corpus.triples"),
        ("data/news.2020.jsonl.gz", "news.2020.triples"),
        ("news.jsonl.zst", "news.triples"),
        ("news.parquet", "news.triples"),
        ("news.json", "news.triples"),
        ("news", "news.triples"),
        ("data/news/", "news.triples"),
        ("data/news-*.jsonl", "news-.triples"),
        ("data/*.jsonl", "corpus.triples"),
        (".jsonl", ".jsonl.triples"),
        ("-", "stdin.triples"),
    ],
)
def test_the_default_directory_is_named_after_the_input(corpus: str, expected: str) -> None:
    assert default_output(corpus) == expected
