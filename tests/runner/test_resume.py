"""Runs that stop, for whatever reason, and go on; runs that may not."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RELATIONS_YAML, FakeEngine, jsonl
from tests.runner.resuming import (
    CORPUS,
    TEXTS,
    Stopping,
    assert_same,
    facts_of,
    place,
    run_command,
    stop_run,
    told_error,
    use_engine,
)
from zsre.relations.lock import FolderLock
from zsre.runner.storage import LocalFolder

#: A fixture is used by its name.
__all__ = ["place"]


@pytest.mark.parametrize("form", ["plain", "gzip", "zstd", "parquet", "several"])
@pytest.mark.parametrize("after", [4, 9, 14, 19, 23])
def test_a_run_that_was_stopped_goes_on_to_the_same_rows(
    form: str, after: int, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["corpus.jsonl"]
    match form:
        case "gzip":
            (place / "corpus.jsonl").write_bytes(gzip.compress(CORPUS))
        case "zstd":
            (place / "corpus.jsonl").write_bytes(pa.Codec("zstd").compress(CORPUS, asbytes=True))
        case "parquet":
            pq.write_table(pa.table({"text": TEXTS * 6}), place / "corpus.jsonl", row_group_size=7)
        case "several":
            (place / "more.jsonl").write_bytes(CORPUS)
            given.append("more.jsonl")
    assert run_command(*given, "-o", "whole") == 0
    stop_run(monkeypatch, *given, "-o", "out", after=after)
    stopped = facts_of("out")
    done = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    assert stopped["status"] == "stopped"
    assert run_command(*given, "-o", "out") == 0
    assert_same("out", "whole")
    assert done == {name: Path("out", name).stat().st_mtime_ns for name in done}, "what was done is not done again"
    assert facts_of("out")["started"] == stopped["started"]


def test_a_part_or_a_record_that_is_damaged_is_done_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command("-o", "whole") == 0
    stop_run(monkeypatch, "-o", "out", after=19)
    parts = sorted(Path("out").glob("part-*"))
    assert len(parts) >= 3
    parts[0].write_bytes(parts[0].read_bytes()[:-7])
    Path("out/shards/00001.json").write_bytes(b'{"index": 1')
    Path("out/.part-00003.parquet.tmp").write_bytes(b"half")
    Path("out/shards/.00003.json.tmp").write_bytes(b"half")
    assert run_command("-o", "out") == 0
    assert_same("out", "whole")
    assert not list(Path("out").rglob("*.tmp"))


@pytest.mark.parametrize("flags", [(), ("--append",)])
def test_a_part_of_which_nothing_is_recorded_does_not_stay(
    flags: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads all parts would read it, too; what isn't named like a part is somebody's."""
    assert run_command("-o", "whole") == 0
    if flags:
        assert run_command("-o", "out") == 0
    else:
        stop_run(monkeypatch, "-o", "out", after=14)
    for name in ("part-00077.parquet", "part-1.parquet", "mine.parquet"):
        Path("out", name).write_bytes(Path("whole/part-00000.parquet").read_bytes())
    Path("out/part-00078.parquet").mkdir()
    assert run_command("-o", "out", *flags) == 0
    assert not Path("out/part-00077.parquet").exists()
    for name in ("part-1.parquet", "mine.parquet"):
        Path("out", name).unlink()
    Path("out/part-00078.parquet").rmdir()
    assert_same("out", "whole")


def test_a_run_that_was_killed_left_no_word_and_goes_on_all_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command("-o", "whole") == 0
    stop_run(monkeypatch, "-o", "out", after=14)
    facts = facts_of("out")
    del facts["counts"], facts["stopped"]
    Path("out/run.json").write_text(json.dumps({**facts, "status": "running"}))
    Path("out/rejects.jsonl").unlink()
    assert run_command("-o", "out") == 0
    assert_same("out", "whole")


def test_a_run_killed_after_its_last_part_only_has_to_say_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command("-o", "whole") == 0
    assert run_command("-o", "out") == 0
    facts = facts_of("out")
    Path("out/run.json").write_text(json.dumps({**facts, "status": "running"}))
    use_engine(monkeypatch, Stopping(0, AssertionError("nothing is left to encode")))
    assert run_command("-o", "out") == 0
    assert_same("out", "whole")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("--threshold", "0.4"), "thresholds.P112: was 0.5 and is now 0.4"),
        (("--keep", "url"), 'settings.keep: was [] and is now ["url"]'),
        (("--max-mentions", "9"), "max_mentions: was 40 and is now 9"),
        (("--limit", "20"), "settings.limit: was null and is now 20"),
        (("--save-pairs", "vectors"), "vectors: was null and is now "),
    ],
)
def test_with_anything_changed_a_run_does_not_go_on(
    change: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_run(monkeypatch, "-o", "out")
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert run_command("-o", "out", *change) == 4
    error = told_error(capsys)
    assert error.startswith("out: holds a run that cannot go on as it began: ") and told in error
    assert error.endswith("Put that back, start anew with --overwrite, or give another directory with -o")
    assert before == {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}


def test_a_changed_relation_or_model_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_run(monkeypatch, "-o", "out")
    (place / "relations.yaml").write_text(RELATIONS_YAML.replace("person married", "person wed"))
    assert run_command("-o", "out") == 4
    assert "cannot go on as it began: relations: was " in told_error(capsys)
    (place / "relations.yaml").write_text(RELATIONS_YAML)
    engine = FakeEngine()
    engine.device = "CUDA"
    use_engine(monkeypatch, engine)
    assert run_command("-o", "out") == 4
    assert 'device: was "CPU" and is now "CUDA"' in told_error(capsys)


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"Number 0", b"Number 9"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_edit, "input: corpus.jsonl is no longer what it was"),
        (lambda path: path.write_bytes(CORPUS[:-3]), "input: corpus.jsonl is no longer what it was"),
        (lambda path: path.write_bytes(gzip.compress(CORPUS)), "input: corpus.jsonl is no longer what it was"),
        (lambda path: path.write_bytes(CORPUS + b"{}\n"), " and now has "),
    ],
)
def test_a_changed_input_is_told(
    change: Callable[[Path], object],
    told: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stop_run(monkeypatch, "-o", "out")
    change(place / "corpus.jsonl")
    capsys.readouterr()
    assert run_command("-o", "out") == 4
    assert told in told_error(capsys)


def test_another_set_of_files_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "more.jsonl").write_bytes(CORPUS)
    stop_run(monkeypatch, "corpus.jsonl", "more.jsonl", "-o", "out")
    capsys.readouterr()
    assert run_command("corpus.jsonl", "-o", "out") == 4
    assert "input: more.jsonl is not given any more" in told_error(capsys)
    assert run_command("more.jsonl", "corpus.jsonl", "-o", "out") == 4
    assert "input: the order of the files" in told_error(capsys)


@pytest.mark.parametrize("flags", [(), ("--append",)])
def test_names_of_another_directory_are_told_as_such(
    flags: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_run(monkeypatch, "-o", "out")
    (place / "sub").mkdir()
    monkeypatch.chdir(place / "sub")
    (place / "sub/relations.yaml").write_text(RELATIONS_YAML)
    capsys.readouterr()
    assert run_command("../corpus.jsonl", "-o", "../out", *flags) == 4
    told = told_error(capsys)
    assert "input: corpus.jsonl is not given any more" in told and "--append takes that in" not in told
    assert "names are other ones, perhaps because the command was given in another directory" in told


def test_standard_input_cannot_be_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stdin() -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(CORPUS))))  # type: ignore[arg-type]

    stdin()
    stop_run(monkeypatch, "-", "-o", "out")
    capsys.readouterr()
    stdin()
    assert run_command("-", "-o", "out") == 4
    assert "what was read of one cannot be read again to go on; start anew with --overwrite" in told_error(capsys)
    stdin()
    assert run_command("-", "-o", "out", "--overwrite") == 0


@pytest.mark.parametrize("name", ["run.json", "shards/00001.json", "part-00001.parquet"])
def test_what_cannot_be_read_at_this_moment_is_done_all_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("-o", "whole") == 0
    stop_run(monkeypatch, "-o", "out", after=14)
    before = sorted(path.name for path in Path("out").rglob("*"))
    original = LocalFolder.open

    def throttled(folder: LocalFolder, wanted: str) -> BinaryIO:
        if wanted == name:
            raise OSError(errno.EMFILE, "Too many open files")
        return original(folder, wanted)

    monkeypatch.setattr(LocalFolder, "open", throttled)
    capsys.readouterr()
    assert run_command("-o", "out") == 4
    assert told_error(capsys) == (
        f"{Path('out', name)}: cannot be read: Too many open files; nothing was removed: mend that, then the same "
        "command goes on"
    )
    assert sorted(path.name for path in Path("out").rglob("*")) == before
    monkeypatch.setattr(LocalFolder, "open", original)
    assert run_command("-o", "out") == 0
    assert_same("out", "whole")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"zsre": "1"}', None])
def test_a_damaged_run_file_is_told_and_nothing_is_lost(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_run(monkeypatch, "-o", "out")
    for name in ("out/run.json", "out/shards/begun.json"):
        Path(name).unlink()
        if content is not None:
            Path(name).write_bytes(content)
    before = sorted(path.name for path in Path("out").rglob("*"))
    capsys.readouterr()
    assert run_command("-o", "out") == 4
    assert "run.json is missing or damaged" in told_error(capsys)
    assert sorted(path.name for path in Path("out").rglob("*")) == before
    Path("out/thesis.txt").touch()
    assert run_command("-o", "out", "--overwrite") == 4
    assert "holds files but no run of zsre" in told_error(capsys)
    Path("out/thesis.txt").unlink()
    assert run_command("-o", "out", "--overwrite") == 0


@pytest.mark.parametrize("content", [b"{", None])
@pytest.mark.parametrize("stopped", [True, False])
def test_a_run_whose_run_file_is_lost_goes_on_from_what_it_was_begun_with(
    stopped: bool, content: bytes | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("-o", "whole") == 0
    if stopped:
        stop_run(monkeypatch, "-o", "out", after=14)
    else:
        assert run_command("-o", "out") == 0
    Path("out/run.json").unlink()
    if content is not None:
        Path("out/run.json").write_bytes(content)
    assert run_command("-o", "out", "--threshold", "0.9") == 4
    assert "thresholds.P112: was 0.5 and is now 0.9" in told_error(capsys)
    assert run_command("-o", "out") == 0
    assert_same("out", "whole")
    assert run_command("-o", "out", "--overwrite", "--threshold", "0.9") == 0
    assert json.loads(Path("out/shards/begun.json").read_text())["thresholds"]["P112"] == 0.9


@pytest.mark.parametrize("name", ["thesis.txt", "run.json"])
@pytest.mark.parametrize("flags", [(), ("--overwrite",), ("--append",)])
def test_a_directory_with_anything_else_is_never_touched(
    name: str, flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out", name).write_text('{"status": "x"}')
    assert run_command("-o", "out", *flags) == 4
    assert told_error(capsys) == "out: holds files but no run of zsre; give an empty or new directory with -o"
    assert [path.name for path in Path("out").iterdir()] == [name]


def test_two_runs_cannot_write_to_one_directory(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    lock = FolderLock(Path("out"))
    for flags in ((), ("--overwrite",)):
        assert run_command("-o", "out", *flags) == 4
        assert "another run is writing to it; wait for it, or give another" in told_error(capsys)
    lock.close()
    assert run_command("-o", "out") == 0


@pytest.mark.parametrize("given", ["news", "news/**/*.*"])
def test_output_within_the_input_is_no_input(
    place: Path, monkeypatch: pytest.MonkeyPatch, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "news").mkdir()
    (place / "corpus.jsonl").rename(place / "news/a.jsonl")
    args = (given, "-o", "news/out", "--save-pairs", "news/vectors")
    stop_run(monkeypatch, *args)
    assert run_command(*args) == 0
    (place / "news/b.jsonl").write_bytes(jsonl([{"text": "Ann married Bob."}]))
    assert run_command(*args, "--append") == 0
    assert [segment["name"] for segment in facts_of("news/out")["input"]] == ["news/a.jsonl", "news/b.jsonl"]  # type: ignore[attr-defined]


def test_a_stream_for_many_workers_is_refused_before_anything_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("-o", "out") == 0
    before = facts_of("out")
    os.mkfifo("pipe")
    assert run_command("pipe", "-o", "out", "--overwrite", "--engine", "ray") == 2
    assert "--engine ray: workers open the input for themselves, so it cannot be a stream" in told_error(capsys)
    assert facts_of("out") == before
