"""Shards on a small cluster of Ray's, on this machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RECORDS, RELATIONS, RELATIONS_YAML, held_shard, jsonl, new_run
from zsre.relations.errors import MissingExtraError, ModelError, UsageError, WorkerError
from zsre.runner import cli, ray_executor
from zsre.runner.corpus import CutSettings, Shard, cut
from zsre.runner.counts import Counts
from zsre.runner.inputs import find_segments
from zsre.runner.job_spec import JobSpec
from zsre.runner.kept import KeptDirectory
from zsre.runner.ray_executor import RayExecutor, ShardWorker, open_workers, worker_resources
from zsre.runner.records import RecordSettings

CORPUS = jsonl([{**RECORDS[n % 2], "id": n} for n in range(40)]) + b"{\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(CORPUS)
    return tmp_path


def _run(output: str, model: Path, *flags: str) -> int:
    flags = ("--model", str(model), "--threshold", "0", "--shard-lines", "8", "--quiet", *flags)
    return cli.main(["corpus.jsonl", "--relations", "relations.yaml", "-o", output, *flags])


def _table(directory: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(part) for part in sorted(Path(directory).glob("part-*.parquet")))


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers", "expected"),
    [
        (16, 0, None, (8, {"num_cpus": 2})),
        (1, 0, None, (1, {"num_cpus": 1})),
        (16, 0, 4, (4, {"num_cpus": 4})),
        (2, 0, 2, (2, {"num_cpus": 1})),
        (64, 8, None, (8, {"num_cpus": 8, "num_gpus": 1})),
        (64, 8, 16, (16, {"num_cpus": 4, "num_gpus": 0.5})),
        (64, 8, 4, (4, {"num_cpus": 16, "num_gpus": 1})),
    ],
)
def test_workers_share_what_the_cluster_has(
    cpus: float, gpus: float, workers: int | None, expected: tuple[int, Mapping[str, float]]
) -> None:
    assert worker_resources(cpus, gpus, workers) == expected


def test_without_ray_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'zsre\[ray\]'"), open_workers(_spec(), "out", None, 1):
        pass


def test_flags_for_ray_need_ray(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (("--ray-workers", "2"), ("--ray-address", "auto")):
        assert _run("out", tiny_model, *flags) == 2
        assert "are for --engine ray, which isn't given" in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "chatty"), [((), True), (("--quiet",), False), (("--log-format", "json"), False)])
def test_what_workers_print_is_between_no_lines_of_json(
    flags: tuple[str, ...], chatty: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, object] = {}

    def init(**settings: object) -> None:
        asked.update(settings)
        raise ConnectionError("nobody there")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    assert cli.main(["corpus.jsonl", "--relations", "relations.yaml", "--engine", "ray", *flags]) == 2
    assert "no cluster answers: nobody there" in capsys.readouterr().err
    assert asked["log_to_driver"] is chatty


def test_a_stream_is_refused() -> None:
    executor = RayExecutor(None, ["worker"], {})
    with pytest.raises(UsageError, match="workers open the input for themselves, so it cannot be a stream"):
        executor.extract([held_shard([b"{}"])], new_run(Path("out")), lambda size, documents: None, None)


def _spec(model: Path | None = None) -> JobSpec:
    return JobSpec(RELATIONS, RecordSettings(), model, device="cpu", threshold=0.0)


def test_a_worker_writes_down_what_it_does(tiny_model: Path, place: Path) -> None:
    (place / "out").mkdir()
    worker = ShardWorker(_spec(tiny_model), "out", str(place))
    facts = worker.facts()
    assert isinstance(facts, Mapping) and facts["device"] == "CPU"
    shards = list(cut(find_segments(["corpus.jsonl"]), CutSettings(shard_lines=8)))
    counts = worker.process(shards[5], json.dumps(facts, sort_keys=True), None)
    assert isinstance(counts, Counts) and counts.rejects == {"not_json": 1}
    assert sorted(path.name for path in place.glob("out/**/*") if path.is_file()) == [
        "00005.json",
        "part-00005.parquet",
    ]
    refused = worker.process(shards[0], json.dumps({**facts, "pipeline": "other"}, sort_keys=True), None)
    assert not isinstance(refused, Counts)
    assert "not set up like the other machines, so rows would differ: pipeline: " in str(refused.error)
    assert 'elsewhere "other"' in str(refused.error)


@pytest.mark.parametrize(
    ("model", "directory", "kind", "told"),
    [("nope.onnx", ".", ModelError, "no such model file"), (None, "/nowhere", WorkerError, "/nowhere: No such file")],
)
def test_what_a_worker_finds_wrong_is_told(model: str | None, directory: str, kind: type, told: str) -> None:
    worker = ShardWorker(_spec(Path(model) if model else None), "out", directory)
    for answer in (worker.facts(), worker.process(held_shard([b"{}"]), "{}", None)):
        assert not isinstance(answer, (Mapping, Counts))
        assert isinstance(answer.error, kind) and told in str(answer.error)


class Losing(ShardWorker):
    """Dies the first time that it is the third shard, as if killed."""

    def process(self, shard: Shard, made_by: str, vectors: KeptDirectory | None) -> Any:
        if shard.index == 2 and not Path("died").exists():
            Path("died").touch()
            os._exit(1)
        return super().process(shard, made_by, vectors)


class Dying(ShardWorker):
    """Dies whenever it is the third shard."""

    def process(self, shard: Shard, made_by: str, vectors: KeptDirectory | None) -> Any:
        if shard.index == 2:
            os._exit(1)
        return super().process(shard, made_by, vectors)


@pytest.mark.slow
def test_a_cluster_writes_what_one_process_writes_also_if_a_worker_is_lost(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Workers can't import the tests, so they get these classes whole.
    pytest.importorskip("ray").cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray_flags = ("--engine", "ray", "--ray-workers", "2")
    saving = ("--save-pairs", "vectors")
    assert _run("local", tiny_model) == 0
    expected = _table("local")
    assert expected.num_rows == 40

    assert _run("nowhere", tiny_model.with_name("nope.onnx"), *ray_flags) == 2
    assert "nope.onnx: no such model file" in capsys.readouterr().err
    assert not Path("nowhere").exists()

    monkeypatch.setattr(ray_executor, "ShardWorker", Losing)
    assert _run("lost", tiny_model, *ray_flags, *saving) == 0
    assert Path("died").exists()
    assert _table("lost").equals(expected)
    assert _counts("lost") == _counts("local")
    assert Path("lost/rejects.jsonl").read_bytes() == Path("local/rejects.jsonl").read_bytes()
    kept = ("vectors", "--relations", "relations.yaml", "--model", str(tiny_model), "--threshold", "0", "--quiet")
    assert cli.main([*kept, "-o", "kept"]) == 0
    assert _table("kept").equals(expected)

    monkeypatch.setattr(ray_executor, "ShardWorker", Dying)
    assert _run("dead", tiny_model, *ray_flags) == 5
    error = capsys.readouterr().err
    assert "part 2 (corpus.jsonl, from line 17)" in error, "among those that the worker had"
    assert ": the worker was lost 4 times" in error
    monkeypatch.setattr(ray_executor, "ShardWorker", ShardWorker)
    assert _run("dead", tiny_model) == 0, "one process goes on with what a cluster began"
    assert _table("dead").equals(expected)


def _counts(directory: str) -> object:
    return json.loads(Path(directory, "run.json").read_text())["counts"]
