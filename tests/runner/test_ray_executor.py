"""Shards on a small cluster of Ray's, on this machine."""

from __future__ import annotations

import gzip
import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RECORDS, RELATIONS, RELATIONS_YAML, held_shard, jsonl, new_run
from zsre.relations.errors import DataError, MissingExtraError, ModelError, UsageError, WorkerError
from zsre.runner import cli, ray_executor
from zsre.runner.corpus import CutSettings, Shard, cut
from zsre.runner.counts import Counts
from zsre.runner.inputs import find_segments
from zsre.runner.job_spec import JobSpec
from zsre.runner.kept import KeptDirectory
from zsre.runner.output import OutputDirectory
from zsre.runner.ray_executor import RayExecutor, ShardWorker, open_workers
from zsre.runner.records import RecordSettings
from zsre.runner.storage import LocalFolder

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
    strange = worker.process(shards[5], json.dumps(facts, sort_keys=True), None)
    assert not isinstance(strange, Counts) and "all machines must see the same one" in str(strange.error)
    assert list((place / "out").iterdir()) == []
    OutputDirectory(LocalFolder(place / "out")).write_run({"zsre": "1", "status": "running"})
    counts = worker.process(shards[5], json.dumps(facts, sort_keys=True), None)
    assert isinstance(counts, Counts) and counts.rejects == {"not_json": 1}
    assert sorted(path.name for path in place.glob("out/**/*") if path.is_file()) == [
        "00005.json",
        "part-00005.parquet",
        "run.json",
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


def test_a_directory_that_no_name_depends_on_may_be_missing(tiny_model: Path, place: Path) -> None:
    worker = ShardWorker(_spec(tiny_model), str(place / "out"), "/nowhere", relative=False)
    assert isinstance(worker.facts(), Mapping)
    assert Path.cwd() == place


@pytest.mark.parametrize(
    ("corpus", "given", "relative"),
    [
        ("PLACE/corpus.jsonl", [], False),
        ("corpus.jsonl", [], True),
        ("PLACE/corpus.jsonl", ["-o", "out"], True),
        ("PLACE/corpus.jsonl", ["--save-pairs", "vectors"], True),
        ("PLACE/corpus.jsonl", ["--spacy-model", "pipeline"], True),
        ("PLACE/corpus.jsonl", ["--spacy-model", "en_core_web_sm"], False),
        ("PLACE/corpus.jsonl", ["--model", "model.onnx"], True),
    ],
)
def test_workers_are_told_whether_names_depend_on_the_directory(
    corpus: str, given: list[str], relative: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_none(
        spec: JobSpec, output: str, address: str | None, workers: int | None, chatty: bool, told: bool
    ) -> Iterator[RayExecutor]:
        assert told is relative
        raise WorkerError("seen")

    monkeypatch.setattr(ray_executor, "open_workers", open_none)
    (place / "pipeline").mkdir()
    flags = ["--relations", "relations.yaml", "-o", str(place / "out"), "--engine", "ray", *given]
    assert cli.main([corpus.replace("PLACE", str(place)), *flags]) == WorkerError.exit_code


class LostError(Exception):
    """Stands for Ray's RayActorError."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a call comes to, and when."""

    due: float
    answer: object


@dataclass
class FakeRay:
    """As much of Ray as a run needs; waiting for an outcome moves its clock on."""

    workers: Sequence[FakeWorker] = ()
    now: float = 0.0
    needs: dict[str, float] = field(default_factory=dict)
    ended: list[FakeWorker] = field(default_factory=list)
    exceptions: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(RayActorError=LostError))

    def init(self, **settings: object) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def nodes(self) -> list[dict[str, object]]:
        return [
            {"Alive": True, "Resources": {"CPU": 3.0, "memory": 1.0}},
            {"Alive": False, "Resources": {"CPU": 100.0, "GPU": 8.0}},
            {"Alive": True, "Resources": {"CPU": 3.0}},
        ]

    def remote(self, kind: type) -> SimpleNamespace:
        coming = iter(self.workers)

        def options(max_restarts: int, max_task_retries: int, **needs: float) -> SimpleNamespace:
            self.needs = needs
            return SimpleNamespace(remote=lambda *given: next(coming))

        return SimpleNamespace(options=options)

    def kill(self, worker: FakeWorker) -> None:
        self.ended.append(worker)

    def wait(
        self, awaited: Sequence[Outcome], num_returns: int = 1, timeout: float = math.inf
    ) -> tuple[list[Outcome], list[Outcome]]:
        enough = sorted(outcome.due for outcome in awaited)[num_returns - 1]
        self.now = max(self.now, min(enough, self.now + timeout))
        assert self.now < 100_000, "waits forever"
        ready = [outcome for outcome in awaited if outcome.due <= self.now][:num_returns]
        return ready, [outcome for outcome in awaited if outcome not in ready]

    def get(self, outcome: Outcome) -> object:
        assert outcome.due <= self.now
        if isinstance(outcome.answer, Exception):
            raise outcome.answer
        return outcome.answer


class FakeWorker:
    """Takes a second for a shard, or what ``unlike`` says by its number, and is ready at a time of its own."""

    def __init__(
        self, ray: FakeRay, unlike: Mapping[int, Outcome] | None = None, ready: float = 0, facts: object = None
    ) -> None:
        self.given: list[int] = []

        def process(shard: Shard, made_by: str, vectors: KeptDirectory | None) -> Outcome:
            assert ray.now >= ready
            self.given.append(shard.index)
            default = Outcome(ray.now + 1, Counts(shards=1, lines=shard.place.lines))
            return (unlike or {}).get(shard.index, default)

        self.process = SimpleNamespace(remote=process)
        self.facts = SimpleNamespace(remote=lambda: Outcome(ready, facts or {"device": "CPU"}))


def _error(told: str) -> object:
    return ray_executor._Elsewhere(DataError(told))


NEVER = Outcome(math.inf, None)


@pytest.mark.parametrize(
    ("unlike", "told", "done"),
    [
        ({}, "breaks off", [0, 1, 2, 3, 4]),
        ({3: Outcome(0, _error("line 25"))}, "line 25", [0, 1, 2]),
        ({3: Outcome(0, _error("line 25")), 4: NEVER}, "line 25", [0, 1, 2]),
        ({3: Outcome(0, _error("line 25")), 1: Outcome(9, _error("line 9")), 2: NEVER}, "line 9", [0]),
        ({0: Outcome(9, _error("line 1"))}, "line 1", [1, 2, 3, 4]),
        # The worker that had part 3 had part 1, too, and may have been lost at either.
        (
            {3: Outcome(0, LostError()), 1: Outcome(0.5, LostError())},
            "part 1 (corpus.jsonl, from line 9) or part 3",
            [0],
        ),
    ],
    ids=["the input", "a line", "a line, not waiting for what follows", "two lines", "the first", "a worker"],
)
def test_what_came_before_an_error_is_written_down(
    unlike: Mapping[int, Outcome], told: str, done: Sequence[int]
) -> None:
    def shards() -> Iterator[Shard]:
        yield from list(cut(find_segments(["corpus.jsonl"]), CutSettings(shard_lines=8)))[:5]
        raise DataError("corpus.jsonl: breaks off")

    ray, run = FakeRay(), new_run(Path("out"))
    executor = RayExecutor(ray, [FakeWorker(ray, unlike) for _ in range(2 if "part" in told else 8)], {})
    with pytest.raises((DataError, WorkerError)) as raised:
        executor.extract(shards(), run, lambda size, documents: None, None)
    assert told in str(raised.value)
    assert sorted(run.done) == done


def _extracted(monkeypatch: pytest.MonkeyPatch, ray: FakeRay, *workers: FakeWorker) -> list[int]:
    """Return which parts are done with three workers, who are let go in the end."""
    ray.workers = workers
    monkeypatch.setitem(sys.modules, "ray", ray)
    run = new_run(Path("out"))
    shards = cut(find_segments(["corpus.jsonl"]), CutSettings(shard_lines=3))
    try:
        with open_workers(_spec(), "out", "auto", 3) as executor:
            executor.extract(shards, run, lambda size, documents: None, None)
    finally:
        assert ray.ended == list(workers)
        assert ray.needs == {"num_cpus": 1.5}, "so that two have room on one machine, and one on the other"
    return sorted(run.done)


@pytest.mark.parametrize("late", [62.0, math.inf])
def test_a_run_begins_with_the_workers_that_are_ready_and_others_join(
    late: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray = FakeRay()
    waiting = FakeWorker(ray, ready=late)
    with caplog.at_level(logging.INFO):
        assert _extracted(monkeypatch, ray, FakeWorker(ray), waiting, FakeWorker(ray)) == list(range(14))
    assert [record.getMessage() for record in caplog.records] == [
        "3 workers on 2 machines; the run begins with 2, and others join once they have room and are ready"
    ]
    assert bool(waiting.given) == (late < math.inf)


def test_a_run_waits_for_its_first_worker(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    ray = FakeRay()
    with caplog.at_level(logging.INFO):
        _extracted(monkeypatch, ray, *(FakeWorker(ray, ready=ready) for ready in (math.inf, 150.0, math.inf)))
    told = [record.getMessage() for record in caplog.records]
    assert told[:-1] == ["waiting until the cluster has room for one of 3 workers"] * 2


@pytest.mark.parametrize("ready", [0.0, 61.0])
def test_a_worker_that_is_set_up_differently_is_an_error_whenever_it_is_ready(
    ready: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = FakeRay()
    others = FakeWorker(ray), FakeWorker(ray, ready=62.0)
    with pytest.raises(WorkerError, match='device: "CUDA", elsewhere "CPU"'):
        _extracted(monkeypatch, ray, *others, FakeWorker(ray, ready=ready, facts={"device": "CUDA"}))


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


@pytest.mark.slow
def test_more_workers_than_cpus_keep_what_came_before_a_file_that_breaks_off(
    tiny_model: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    filler = [{"text": os.urandom(40).hex()} for _ in range(200)]
    (place / "corpus.jsonl").write_bytes(gzip.compress(CORPUS[:-2] + jsonl(filler))[:-2000])
    assert _run("local", tiny_model) == 2
    error = capsys.readouterr().err
    assert "corpus.jsonl: cannot be read beyond line" in error
    assert _run("cluster", tiny_model, "--engine", "ray", "--ray-workers", str(2 * (os.cpu_count() or 1))) == 2
    assert error in capsys.readouterr().err
    assert _table("cluster").equals(_table("local"))
    assert _counts("cluster") == _counts("local")


def _counts(directory: str) -> object:
    return json.loads(Path(directory, "run.json").read_text())["counts"]
