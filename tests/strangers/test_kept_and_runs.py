"""What SECURITY.md promises of kept vectors and runs that a stranger left: a command refuses them, in words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.drawn import make_run, make_triple, renamed
from tests.runner.fakes import FakeEngine
from tests.strangers.commands import refused, run
from zsre.runner import job_spec, judge_cli, kept_command
from zsre.runner.kept import mentions_path, pairs_path


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory of kept vectors, as a run leaves it."""
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(kept_command, "load_relation_engine", lambda model, device, threads: FakeEngine())
    assert run("--save-pairs", "vectors") == 0
    assert run(corpus="vectors", output="again") == 0
    return Path("vectors")


def rewritten(path: Path, name: str, column: pa.Array | None) -> None:
    table = pq.read_table(path)
    index = table.column_names.index(name)
    field = table.schema.field(name)
    changed = table.remove_column(index)
    if column is not None:
        changed = table.set_column(index, pa.field(name, column.type, field.nullable), column)
    counts = pq.read_metadata(path).metadata
    pq.write_table(changed.replace_schema_metadata({key: counts[key] for key in counts if key == b"zsre.counts"}), path)


@pytest.mark.parametrize("name", ["head", "tail"])
@pytest.mark.parametrize("row", [-1, None, 10**6, 2**62])
def test_kept_pairs_that_point_to_where_nothing_is(
    vectors: Path, name: str, row: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = pairs_path(vectors, 0)
    mentions = pq.read_metadata(mentions_path(vectors, 0)).num_rows
    count = pq.read_metadata(path).num_rows
    rewritten(path, name, pa.array([mentions if row is None else row] * count, pa.int64()))
    error = refused(capfd, corpus="vectors", output="other")
    assert "is damaged (a pair's head or tail is none of its mentions); save the vectors again" in error


@pytest.mark.parametrize("name, value", [("start", -5), ("end", 10**9), ("sent_start", -1), ("sent_end", 10**9)])
def test_kept_mentions_outside_of_their_sentences(
    vectors: Path, name: str, value: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = mentions_path(vectors, 0)
    rewritten(path, name, pa.array([value] * pq.read_metadata(path).num_rows, pa.int64()))
    assert "mentions-00000" not in (error := refused(capfd, corpus="vectors", output="other")) and "is damaged" in error


@pytest.mark.parametrize(
    "which, name, make",
    [
        (pairs_path, "head", lambda count: pa.array(["0"] * count)),
        (pairs_path, "head", lambda count: None),
        (pairs_path, "vector", lambda count: pa.array([[0.0]] * count, pa.list_(pa.float16()))),
        (mentions_path, "vector", lambda count: pa.array([[0.0] * 3] * count, pa.list_(pa.float16(), 3))),
        (mentions_path, "sentence", lambda count: pa.array([1] * count)),
        (mentions_path, "doc_id", lambda count: None),
    ],
)
def test_kept_columns_that_are_others(
    vectors: Path,
    which: Callable[[Path, int], Path],
    name: str,
    make: Callable[[int], pa.Array | None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = which(vectors, 0)
    rewritten(path, name, make(pq.read_metadata(path).num_rows))
    error = refused(capfd, corpus="vectors", output="other")
    assert "its columns are not those of kept vectors" in error or "cannot be read (" in error


def test_kept_vectors_of_no_numbers(vectors: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = pairs_path(vectors, 0)
    table = pq.read_table(path)
    field = table.schema.field("vector")
    nothing = pa.array(np.full(len(table) * field.type.list_size, np.nan, dtype=np.float16))
    rewritten(path, "vector", pa.FixedSizeListArray.from_arrays(nothing, type=field.type))
    assert "a vector holds what is no number" in refused(capfd, corpus="vectors", output="other")


@pytest.mark.parametrize(
    "change",
    [
        {"shards": "../1"}, {"shards": -1}, {"dimension": "8"}, {"precision": "pickle"}, {"keep": [1]},
        {"types": [[[1], ["ORG"]]]}, {"max_mentions": None}, {"surprise": 1}, {"corpus": {}},
    ],
)  # fmt: skip
def test_markers_that_no_run_writes(
    vectors: Path, change: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    marker = vectors / "vectors.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | change))
    assert "vectors.json: is damaged (" in refused(capfd, corpus="vectors", output="other")


def test_json_that_nests_without_end(vectors: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (vectors / "vectors.json").write_text("[" * 100_000)
    assert "vectors.json: cannot be read" in refused(capfd, corpus="vectors", output="other")
    for name in ("out/run.json", "out/shards/begun.json"):
        Path(name).write_text("[" * 100_000)
    assert run() == 4
    assert "its run.json is missing or damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"part": "../precious"}, {"part": ["part-00000.parquet"]}, {"index": "0"}, {"index": 7},
        {"place": {"segment": 0, "first_line": 1, "lines": 1, "records": 1, "start": -5, "end": 10}},
        {"counts": {"lines": "many", "rejects": {}, "types_seen": []}},
        {"counts": {"rejects": {}, "types_seen": "many"}},
        {"counts": {"rejects": {}, "fields_missing": {"url": "many"}}},
        {"counts": {"rejects": {}, "types_unnamed": [1]}},
        {"counts": []},
        {"counts": None},
    ],
)  # fmt: skip
def test_a_run_goes_on_from_no_record_that_it_cannot_have_written(vectors: Path, change: dict[str, object]) -> None:
    precious = Path("precious")
    precious.write_text("precious")
    run_file, record = Path("out/run.json"), Path("out/shards/00000.json")
    rows = pq.read_table("out/part-00000.parquet")
    facts = json.loads(run_file.read_text()) | {"status": "running"}
    del facts["finished"]
    run_file.write_text(json.dumps(facts))
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    assert run("--save-pairs", "vectors") == 0
    assert pq.read_table("out/part-00000.parquet").equals(rows)
    assert json.loads(run_file.read_text())["counts"]["lines"] == 1
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("change", [{"name": "/etc/hostname"}, {"start": -1}, {"first_line": "1"}, {"id_prefix": 1}])
def test_a_run_reads_no_input_that_was_not_given(
    vectors: Path, change: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    run_file = Path("out/run.json")
    facts = json.loads(run_file.read_text())
    facts |= {"status": "running", "input": [facts["input"][0] | change]}
    run_file.write_text(json.dumps(facts))
    assert run("--save-pairs", "vectors") == 4
    assert "out: holds a run that " in capfd.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("flags", [(), ("--overwrite",)])
def test_a_run_writes_through_no_link_in_its_directory(
    vectors: Path, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Path("elsewhere")
    Path("out/shards").rename(elsewhere)
    before = (elsewhere / "00000.json").read_bytes()
    Path("out/shards").symlink_to(elsewhere.absolute())
    assert run(*flags) == 4
    assert "out/shards: is a link, as no run makes it" in capfd.readouterr().err
    assert (elsewhere / "00000.json").read_bytes() == before
    Path("out/shards").unlink()
    Path("out/.lock").unlink()
    Path("out/.lock").symlink_to(Path("made").absolute())
    assert run("--overwrite") == 4
    assert not Path("made").exists()


@pytest.mark.parametrize("fields", [{"head_start": -5}, {"tail_end": 10**9}, {"sent_start": 2**62}, {"tail": "Bob"}])
def test_triples_to_be_judged_that_point_to_where_nothing_is(
    place: Path, fields: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    make_run(place / "run", [renamed(make_triple(1), **fields)])
    assert judge_cli.main(["run", "-o", "judged.jsonl"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("zsre-judge: error: run/part-00000.parquet: is damaged (") and error.count("\n") == 1
