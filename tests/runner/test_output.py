from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsre.relations.errors import OutputError
from zsre.runner.output import default_output, open_output
from zsre.runner.records import Reason, Reject

TABLE = pa.table({"head": ["Acme", "Globex"]})
REJECT = Reject("corpus.jsonl", 3, Reason.NOT_JSON, "detail", "{é")


def _files(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_parts_rejects_and_run_facts_are_written(tmp_path: Path) -> None:
    output = open_output(tmp_path / "new" / "out", overwrite=False)
    output.write_run({"zsre": "1", "status": "running"})
    output.write_part(0, TABLE)
    output.write_part(12, TABLE.slice(0, 0))
    output.add_rejects([REJECT])
    output.add_rejects([])
    output.add_rejects([REJECT])
    output.write_run({"zsre": "1", "status": "finished"})
    assert _files(output.path) == ["part-00000.parquet", "part-00012.parquet", "rejects.jsonl", "run.json"]
    assert pq.read_table(output.part_path(0)) == TABLE
    assert pq.read_table(output.part_path(12)).num_rows == 0
    assert pq.ParquetFile(output.part_path(0)).metadata.row_group(0).column(0).compression == "ZSTD"
    lines = (output.path / "rejects.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"file": "corpus.jsonl", "line": 3, "reason": "not_json", "detail": "detail", "text": "{é"}
    ] * 2
    assert json.loads((output.path / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize(("status", "held"), [("finished", "a finished run"), ("running", "a run that did not finish")])
def test_a_directory_with_a_run_is_left_alone(tmp_path: Path, status: str, held: str) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"zsre": "1", "status": status}))
    with pytest.raises(OutputError, match=f"holds {held}; give another directory with -o, or replace it") as raised:
        open_output(tmp_path, overwrite=False)
    assert raised.value.exit_code == 4
    assert _files(tmp_path) == ["run.json"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("name", "content"), [("thesis.txt", "x"), ("run.json", '{"status": "x"}'), ("run.json", "[")])
def test_a_directory_with_anything_else_is_never_touched(
    tmp_path: Path, name: str, content: str, overwrite: bool
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(OutputError, match="holds files but no run of zsre; give an empty or new directory"):
        open_output(tmp_path, overwrite)
    assert (tmp_path / name).read_text() == content


def test_overwriting_removes_the_files_of_a_run_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"zsre": "1", "status": "finished"}))
    for name in ("part-00000.parquet", "part-00001.parquet", ".part-00002.parquet.tmp", "notes.md", "rejects.jsonl"):
        (tmp_path / name).write_text("old")
    open_output(tmp_path, overwrite=True)
    assert _files(tmp_path) == ["notes.md", "rejects.jsonl"]
    assert (tmp_path / "rejects.jsonl").read_text() == ""


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is not a directory; give another one with -o"):
        open_output(tmp_path / "out", overwrite=True)


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written to: Not a directory; give another directory"):
        open_output(tmp_path / "file" / "out", overwrite=False)


def test_a_full_disk_leaves_no_half_part_and_says_what_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = open_output(tmp_path / "out", overwrite=False)
    output.write_part(0, TABLE)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError) as raised:
        output.write_part(1, TABLE)
    with pytest.raises(OutputError, match=r"rejects\.jsonl: cannot be written: No space left"):
        output.add_rejects([REJECT])
    assert str(raised.value) == (
        f"{tmp_path / 'out' / 'part-00001.parquet'}: cannot be written: No space left on device; "
        "complete so far: 1 part; mend that, then run again with --overwrite"
    )
    assert _files(output.path) == ["part-00000.parquet", "rejects.jsonl"]
    assert (output.path / "rejects.jsonl").read_bytes() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_write_that_really_fails_is_reported(tmp_path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
import pyarrow as pa
from zsre.relations.errors import OutputError
from zsre.runner.output import open_output
from zsre.runner.records import Reason, Reject
output = open_output(Path({str(tmp_path / "out")!r}), overwrite=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
for write in (
    lambda: output.write_part(0, pa.table({{"n": [str(n * n) for n in range(20_000)]}})),
    lambda: output.add_rejects([Reject("f", n, Reason.NOT_JSON, "d", "t") for n in range(200)]),
):
    try:
        write()
    except OutputError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("cannot be written: File too large; mend that") == 2
    assert _files(tmp_path / "out") == ["rejects.jsonl"]
    assert (tmp_path / "out" / "rejects.jsonl").stat().st_size == 0


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = open_output(tmp_path / "out", overwrite=False)

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        output.write_part(0, TABLE)
    assert _files(output.path) == ["rejects.jsonl"]


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        ("corpus.jsonl", "corpus.triples"),
        ("data/news.2020.jsonl.gz", "news.2020.triples"),
        ("news.json", "news.triples"),
        ("news", "news.triples"),
        (".jsonl", ".jsonl.triples"),
        ("-", "stdin.triples"),
    ],
)
def test_the_default_directory_is_named_after_the_input(corpus: str, expected: str) -> None:
    assert default_output(corpus) == Path(expected)
