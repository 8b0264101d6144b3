"""Runs that stop, for whatever reason, and go on; runs that may not."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl
from zsre.runner import cli, command, job_spec
from zsre.runner.lock import FolderLock

TEXTS = [
    "Ann founded Acme.  Ann married Bob.",
    "Cy was born in Paris. Acme was founded by Dee.",
    "nothing here",
    "Max married Zoe. Globex was founded by Max.",
]
CORPUS = jsonl([{"text": f"{text} Number {n}."} for n, text in enumerate(TEXTS * 6)]) + b"{\n\n[]\n"
FLAGS = ("--relations", "relations.yaml", "--shard-lines", "5", "--quiet")


class Stopping(FakeEngine):
    """Stops after some sentences, as by Ctrl-C or for want of memory."""

    def __init__(self, after: int, error: BaseException) -> None:
        super().__init__()
        self.after, self.error = after, error

    def encode(self, sentences):  # type: ignore[no-untyped-def]
        if sum(self.batches) >= self.after:
            raise self.error
        return super().encode(sentences)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _use(monkeypatch, FakeEngine())
    monkeypatch.setattr(command, "load_relation_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", lambda name, processes: FakeAnnotator(TYPES))
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(CORPUS)
    return tmp_path


def _use(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> None:
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: engine)


def _run(*args: str) -> int:
    given = args if args and (args[0] == "-" or not args[0].startswith("-")) else ("corpus.jsonl", *args)
    return cli.main([*given, *FLAGS])


def _stop(monkeypatch: pytest.MonkeyPatch, *args: str, after: int = 9) -> None:
    _use(monkeypatch, Stopping(after, KeyboardInterrupt()))
    assert _run(*args) == 130
    _use(monkeypatch, FakeEngine())


def _table(directory: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(part) for part in sorted(Path(directory).glob("part-*.parquet")))


def _run_facts(directory: str) -> dict[str, object]:
    facts: dict[str, object] = json.loads(Path(directory, "run.json").read_text())
    return facts


def _assert_same(one: str, other: str) -> None:
    """Same rows in the same parts, same counts, same rejects."""
    assert [path.name for path in sorted(Path(one).glob("part-*"))] == [
        path.name for path in sorted(Path(other).glob("part-*"))
    ]
    assert _table(one).equals(_table(other)) and _table(one).num_rows > 10
    assert _run_facts(one)["counts"] == _run_facts(other)["counts"]
    assert Path(one, "rejects.jsonl").read_bytes() == Path(other, "rejects.jsonl").read_bytes()
    assert _run_facts(one)["status"] == "finished"


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("zsre-extract: error: ").strip()


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
    assert _run(*given, "-o", "whole") == 0
    _stop(monkeypatch, *given, "-o", "out", after=after)
    stopped = _run_facts("out")
    done = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    assert stopped["status"] == "stopped"
    assert _run(*given, "-o", "out") == 0
    _assert_same("out", "whole")
    assert done == {name: Path("out", name).stat().st_mtime_ns for name in done}, "what was done is not done again"
    assert _run_facts("out")["started"] == stopped["started"]


def test_a_part_or_a_record_that_is_damaged_is_done_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run("-o", "whole") == 0
    _stop(monkeypatch, "-o", "out", after=19)
    parts = sorted(Path("out").glob("part-*"))
    assert len(parts) >= 3
    parts[0].write_bytes(parts[0].read_bytes()[:-7])
    Path("out/shards/00001.json").write_bytes(b'{"index": 1')
    Path("out/.part-00003.parquet.tmp").write_bytes(b"half")
    Path("out/shards/.00003.json.tmp").write_bytes(b"half")
    assert _run("-o", "out") == 0
    _assert_same("out", "whole")
    assert not list(Path("out").rglob("*.tmp"))


@pytest.mark.parametrize("flags", [(), ("--append",)])
def test_a_part_of_which_nothing_is_recorded_does_not_stay(
    flags: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads all parts would read it, too; what isn't named like a part is somebody's."""
    assert _run("-o", "whole") == 0
    if flags:
        assert _run("-o", "out") == 0
    else:
        _stop(monkeypatch, "-o", "out", after=14)
    for name in ("part-00077.parquet", "part-1.parquet", "mine.parquet"):
        Path("out", name).write_bytes(Path("whole/part-00000.parquet").read_bytes())
    Path("out/part-00078.parquet").mkdir()
    assert _run("-o", "out", *flags) == 0
    assert not Path("out/part-00077.parquet").exists()
    for name in ("part-1.parquet", "mine.parquet"):
        Path("out", name).unlink()
    Path("out/part-00078.parquet").rmdir()
    _assert_same("out", "whole")


def test_a_run_that_was_killed_left_no_word_and_goes_on_all_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run("-o", "whole") == 0
    _stop(monkeypatch, "-o", "out", after=14)
    facts = _run_facts("out")
    del facts["counts"], facts["stopped"]
    Path("out/run.json").write_text(json.dumps({**facts, "status": "running"}))
    Path("out/rejects.jsonl").unlink()
    assert _run("-o", "out") == 0
    _assert_same("out", "whole")


def test_a_run_killed_after_its_last_part_only_has_to_say_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run("-o", "whole") == 0
    assert _run("-o", "out") == 0
    facts = _run_facts("out")
    Path("out/run.json").write_text(json.dumps({**facts, "status": "running"}))
    _use(monkeypatch, Stopping(0, AssertionError("nothing is left to encode")))
    assert _run("-o", "out") == 0
    _assert_same("out", "whole")


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
    _stop(monkeypatch, "-o", "out")
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert _run("-o", "out", *change) == 4
    error = _error(capsys)
    assert error.startswith("out: holds a run that cannot go on as it began: ") and told in error
    assert error.endswith("Put that back, start anew with --overwrite, or give another directory with -o")
    assert before == {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}


def test_a_changed_relation_or_model_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _stop(monkeypatch, "-o", "out")
    (place / "relations.yaml").write_text(RELATIONS_YAML.replace("person married", "person wed"))
    assert _run("-o", "out") == 4
    assert "cannot go on as it began: relations: was " in _error(capsys)
    (place / "relations.yaml").write_text(RELATIONS_YAML)
    engine = FakeEngine()
    engine.device = "CUDA"
    _use(monkeypatch, engine)
    assert _run("-o", "out") == 4
    assert 'device: was "CPU" and is now "CUDA"' in _error(capsys)


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
    _stop(monkeypatch, "-o", "out")
    change(place / "corpus.jsonl")
    capsys.readouterr()
    assert _run("-o", "out") == 4
    assert told in _error(capsys)


def test_another_set_of_files_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "more.jsonl").write_bytes(CORPUS)
    _stop(monkeypatch, "corpus.jsonl", "more.jsonl", "-o", "out")
    capsys.readouterr()
    assert _run("corpus.jsonl", "-o", "out") == 4
    assert "input: more.jsonl is not given any more" in _error(capsys)
    assert _run("more.jsonl", "corpus.jsonl", "-o", "out") == 4
    assert "input: the order of the files" in _error(capsys)


@pytest.mark.parametrize("flags", [(), ("--append",)])
def test_names_of_another_directory_are_told_as_such(
    flags: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _stop(monkeypatch, "-o", "out")
    (place / "sub").mkdir()
    monkeypatch.chdir(place / "sub")
    (place / "sub/relations.yaml").write_text(RELATIONS_YAML)
    capsys.readouterr()
    assert _run("../corpus.jsonl", "-o", "../out", *flags) == 4
    told = _error(capsys)
    assert "input: corpus.jsonl is not given any more" in told and "--append takes that in" not in told
    assert "names are other ones, perhaps because the command was given in another directory" in told


def test_standard_input_cannot_be_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stdin() -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(CORPUS))))  # type: ignore[arg-type]

    stdin()
    _stop(monkeypatch, "-", "-o", "out")
    capsys.readouterr()
    stdin()
    assert _run("-", "-o", "out") == 4
    assert "what was read of one cannot be read again to go on; start anew with --overwrite" in _error(capsys)
    stdin()
    assert _run("-", "-o", "out", "--overwrite") == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"zsre": "1"}', None])
def test_a_damaged_run_file_is_told_and_nothing_is_lost(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _stop(monkeypatch, "-o", "out")
    Path("out/run.json").unlink()
    if content is not None:
        Path("out/run.json").write_bytes(content)
    before = sorted(path.name for path in Path("out").rglob("*"))
    capsys.readouterr()
    assert _run("-o", "out") == 4
    assert "run.json is missing or damaged" in _error(capsys)
    assert sorted(path.name for path in Path("out").rglob("*")) == before
    Path("out/thesis.txt").touch()
    assert _run("-o", "out", "--overwrite") == 4
    assert "holds files but no run of zsre" in _error(capsys)
    Path("out/thesis.txt").unlink()
    assert _run("-o", "out", "--overwrite") == 0


@pytest.mark.parametrize("name", ["thesis.txt", "run.json"])
@pytest.mark.parametrize("flags", [(), ("--overwrite",), ("--append",)])
def test_a_directory_with_anything_else_is_never_touched(
    name: str, flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out", name).write_text('{"status": "x"}')
    assert _run("-o", "out", *flags) == 4
    assert _error(capsys) == "out: holds files but no run of zsre; give an empty or new directory with -o"
    assert [path.name for path in Path("out").iterdir()] == [name]


def test_two_runs_cannot_write_to_one_directory(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    lock = FolderLock(Path("out"))
    for flags in ((), ("--overwrite",)):
        assert _run("-o", "out", *flags) == 4
        assert "another run is writing to it; wait for it, or give another" in _error(capsys)
    lock.close()
    assert _run("-o", "out") == 0


def test_what_was_added_to_the_input_is_taken_in_on_request(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("-o", "out") == 0
    rows = _table("out").num_rows
    old = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    assert _run("-o", "out", "--append") == 0
    assert {path.name: path.stat().st_mtime_ns for path in Path("out").glob("part-*")} == old
    with (place / "corpus.jsonl").open("ab") as corpus:
        corpus.write(jsonl([{"text": "Kim married Lee."}]) + b"{\n")
    (place / "more.jsonl").write_bytes(
        jsonl([{"text": "Initech was founded by Kim."}, {"id": "x", "text": "Kim married Jo."}])
    )
    assert _run("corpus.jsonl", "more.jsonl", "-o", "out", "--append") == 0
    new = _table("out").slice(rows).to_pylist()
    lines = CORPUS.count(b"\n")
    assert [(row["doc_id"], row["head"], row["tail"]) for row in new] == [
        (f"line-{lines + 1}", "Kim", "Lee"),
        ("x", "Kim", "Jo"),
    ]
    rejects = [json.loads(line) for line in Path("out/rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects[-1:]] == [lines + 2]
    counts = _run_facts("out")["counts"]
    assert isinstance(counts, dict) and counts["lines"] == lines + 4
    assert _run("corpus.jsonl", "more.jsonl", "-o", "out") == 4
    assert "holds a finished run" in _error(capsys)


def test_an_appending_run_that_stops_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run("-o", "out") == 0
    with (place / "corpus.jsonl").open("ab") as corpus:
        corpus.write(CORPUS)
    _stop(monkeypatch, "-o", "out", "--append", after=9)
    assert _run("-o", "out") == 0
    assert _run_facts("out")["status"] == "finished"
    assert _table("out").num_rows == 2 * _table_of_one_run()


def _table_of_one_run() -> int:
    Path("one.jsonl").write_bytes(CORPUS)
    assert _run("one.jsonl", "-o", "one") == 0
    return _table("one").num_rows


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (b'{"text": "a"}\n', b'{"text": "b"}\n{}\n', "is no longer what it was"),
        (b'{"text": "a"}', b'{"text": "a"}\n{}\n', "its last line had no end when it was read"),
        (b'{"text": "a"}\n', b"", "is no longer what it was"),
    ],
)
def test_only_what_comes_at_the_end_can_be_appended(
    before: bytes, after: bytes, told: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "corpus.jsonl").write_bytes(before)
    assert _run("-o", "out") == 0
    (place / "corpus.jsonl").write_bytes(after)
    assert _run("-o", "out", "--append") in (2, 4)
    assert told in _error(capsys)


def test_appending_cannot_be_meant_together_with_some_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--append", "--overwrite") == 2
    assert "--append and --overwrite: one keeps the earlier run" in _error(capsys)
    assert _run("--append", "--limit", "3") == 2
    assert "cannot go together with --limit" in _error(capsys)


def test_vectors_are_kept_of_every_shard_when_a_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    _stop(monkeypatch, *saving, after=14)
    assert sorted(Path("vectors").glob("pairs-*"))
    Path("vectors/pairs-00000.parquet").unlink()
    Path("vectors/mentions-00001.parquet").write_bytes(b"half")
    assert _run(*saving) == 0
    assert _run("vectors", "-o", "again") == 0
    assert _table("again").equals(_table("out"))


def test_a_run_over_vectors_goes_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run("--save-pairs", "vectors", "-o", "out") == 0
    original, calls = command.kept_place, []

    def third_stops(*given):  # type: ignore[no-untyped-def]
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(command, "kept_place", third_stops)
    assert _run("vectors", "-o", "again") == 130
    assert len(list(Path("again").glob("part-*"))) == 2
    assert _run("vectors", "-o", "again") == 0
    assert _table("again").equals(_table("out"))
    assert _run_facts("again")["counts"] == _run_facts("out")["counts"]


def test_a_run_that_is_refused_leaves_kept_vectors_as_they_are(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    assert _run(*saving) == 0
    before = {path: path.read_bytes() for path in Path("vectors").iterdir()}
    assert _run(*saving, "--append", "--threshold", "0.9") == 4
    assert "thresholds.P112: was 0.5 and is now 0.9" in _error(capsys)
    assert {path: path.read_bytes() for path in Path("vectors").iterdir()} == before
    assert _run("vectors", "-o", "again") == 0


def test_vectors_that_another_run_is_writing_are_not_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--save-pairs", "vectors", "-o", "out") == 0
    Path("vectors/.pairs-00009.parquet.tmp").touch()
    before = sorted(Path("vectors").iterdir())
    with closing(FolderLock(Path("vectors"))):
        assert _run("--save-pairs", "vectors", "-o", "other", "--overwrite") == 4
    assert "vectors: another run is writing to it" in _error(capsys)
    assert sorted(Path("vectors").iterdir()) == before


def test_vectors_of_a_run_that_was_replaced_do_not_stay(place: Path) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    assert _run(*saving) == 0
    (place / "corpus.jsonl").write_bytes(CORPUS[: CORPUS.index(b"\n") + 1])
    assert _run(*saving, "--overwrite") == 0
    assert sorted(path.name for path in Path("vectors").glob("*.parquet")) == [
        "mentions-00000.parquet",
        "pairs-00000.parquet",
    ]


@pytest.mark.parametrize("given", ["news", "news/**/*.*"])
def test_output_within_the_input_is_no_input(
    place: Path, monkeypatch: pytest.MonkeyPatch, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "news").mkdir()
    (place / "corpus.jsonl").rename(place / "news/a.jsonl")
    args = (given, "-o", "news/out", "--save-pairs", "news/vectors")
    _stop(monkeypatch, *args)
    assert _run(*args) == 0
    (place / "news/b.jsonl").write_bytes(jsonl([{"text": "Ann married Bob."}]))
    assert _run(*args, "--append") == 0
    assert [segment["name"] for segment in _run_facts("news/out")["input"]] == ["news/a.jsonl", "news/b.jsonl"]  # type: ignore[attr-defined]


def test_a_stream_for_many_workers_is_refused_before_anything_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("-o", "out") == 0
    before = _run_facts("out")
    os.mkfifo("pipe")
    assert _run("pipe", "-o", "out", "--overwrite", "--engine", "ray") == 2
    assert "--engine ray: workers open the input for themselves, so it cannot be a stream" in _error(capsys)
    assert _run_facts("out") == before
