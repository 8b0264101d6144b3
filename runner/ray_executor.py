"""Shards on many processes or machines, which Ray schedules.

Each worker loads the job for itself, opens what a shard names, writes its part and its record, and answers with what
was counted; neither texts nor triples pass through the process that hands out the shards. Ray restarts a worker that
was lost, and has its shards done again.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from zsre.relations.errors import MissingExtraError, UsageError, WorkerError, ZsreError
from zsre.runner.corpus import Shard
from zsre.runner.counts import Counts
from zsre.runner.extract import job_facts
from zsre.runner.inputs import Kind
from zsre.runner.job_spec import JobSpec, open_job
from zsre.runner.kept import KeptDirectory, KeptFacts, kept_facts
from zsre.runner.output import OutputDirectory
from zsre.runner.reading import ShardReader
from zsre.runner.recording import Run
from zsre.runner.stages import Advance, process_shard
from zsre.runner.storage import open_folder, readable

logger = logging.getLogger(__name__)

#: Shards that a worker has been given: one that it works on, and one to go on with.
_AHEAD: Final = 2
#: How often a shard is done again whose worker was lost.
_RETRIES: Final = 3
#: CPUs for a worker where there is no GPU: reading and encoding overlap.
_CPUS: Final = 2
_PATIENCE: Final = 60.0
#: What a cluster on this machine does without. Only names and counts are passed, and by default Ray would set a third
#: of the memory aside for objects.
_LOCAL: Final[Mapping[str, object]] = {"include_dashboard": False, "object_store_memory": 100 << 20}


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """An error that a person can mend, as a worker returns it: raised there, it would come wrapped in Ray's own."""

    error: ZsreError


class ShardWorker:
    """Does shards in a process of its own."""

    def __init__(self, spec: JobSpec, output: str, directory: str) -> None:
        """Get ready; what goes wrong is told by `facts`, as a process that can't be made would only be tried again."""
        self._stack = ExitStack()
        self._failed: ZsreError | None = None
        self._vectors: KeptDirectory | None = None
        try:
            _enter(directory)
            self._job = self._stack.enter_context(open_job(spec))
            self._reader = ShardReader(spec.records.fields)
            self._output = OutputDirectory(open_folder(output))
            self._made_by = json.dumps(job_facts(self._job), sort_keys=True)
        except ZsreError as error:
            self._failed = error

    def facts(self) -> Mapping[str, object] | _Elsewhere:
        """Return what this worker's triples are made by."""
        return _Elsewhere(self._failed) if self._failed else job_facts(self._job)

    def kept_facts(self, corpus: str, precision: str) -> KeptFacts:
        """Return what the vectors are that it makes."""
        return kept_facts(self._job, corpus, precision)

    def process(self, shard: Shard, made_by: str, vectors: KeptDirectory | None) -> Counts | _Elsewhere:
        """Do a shard, and write it down; ``made_by`` are the facts of all workers, which must be this one's, too."""
        if self._failed:
            return _Elsewhere(self._failed)
        if made_by != self._made_by:
            return _Elsewhere(WorkerError(_different(made_by, self._made_by)))
        try:
            result = process_shard(shard, self._job, sink=vectors, reader=self._reader)
            self._output.commit(result, shard.place)
        except ZsreError as error:
            return _Elsewhere(error)
        return result.counts


class RayExecutor:
    """Workers that Ray runs; made by `open_workers`."""

    def __init__(self, ray: Any, workers: list[Any], facts: Mapping[str, object]) -> None:
        self._ray, self._workers = ray, workers
        self.facts = facts
        self._made_by = json.dumps(facts, sort_keys=True)

    def kept_facts(self, corpus: str, precision: str) -> KeptFacts:
        """Return what the vectors are that the workers make."""
        found: KeptFacts = self._ray.get(self._workers[0].kept_facts.remote(corpus, precision))
        return found

    def extract(self, shards: Iterable[Shard], run: Run, advance: Advance, vectors: KeptDirectory | None) -> None:
        """Hand out shards, and take note of those that are written down."""
        ready = [worker for _ in range(_AHEAD) for worker in self._workers]
        pending: dict[Any, tuple[Any, Shard]] = {}
        for shard in shards:
            if shard.kind == Kind.STREAM:
                raise UsageError("--engine ray: workers open the input for themselves, so it cannot be a stream")
            if not ready:
                ready.append(self._settle(pending, run, advance))
            worker = ready.pop(0)
            pending[worker.process.remote(shard, self._made_by, vectors)] = (worker, shard)
        while pending:
            self._settle(pending, run, advance)

    def _settle(self, pending: dict[Any, tuple[Any, Shard]], run: Run, advance: Advance) -> Any:
        """Wait for a shard, take note of it, and return the worker that has done it."""
        (done,), _ = self._ray.wait(list(pending), num_returns=1)
        worker, shard = pending.pop(done)
        try:
            counts = self._ray.get(done)
        except self._ray.exceptions.RayActorError as error:
            # It had several, and any of them may be what it was lost at.
            held = [shard, *(other for owner, other in pending.values() if owner is worker)]
            raise WorkerError(_lost(held)) from error
        if isinstance(counts, _Elsewhere):
            raise counts.error
        run.note(shard.index, shard.place, counts)
        advance(shard.place.end - shard.place.start, counts.documents)
        return worker


@contextmanager
def open_workers(
    spec: JobSpec, output: str, address: str | None, workers: int | None, chatty: bool = True
) -> Iterator[RayExecutor]:
    """Start so many workers on the cluster at an address (``None``: on this machine), and end them in the end.

    If it is ``chatty``, what a worker prints comes out here, as it is.
    Raises MissingExtraError without Ray, UsageError without a cluster, and whatever a worker finds wrong.
    """
    # Nothing is reported to anybody; this is read when Ray is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError("--engine ray needs Ray: pip install 'zsre[ray]'") from error
    try:
        settings = {} if address else _LOCAL
        ray.init(address=address or "local", logging_level=logging.ERROR, log_to_driver=chatty, **settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"--ray-address {address}: no cluster answers: {str(error).splitlines()[0]}") from error
    started: list[Any] = []
    try:
        resources = ray.cluster_resources()
        count, needs = worker_resources(resources.get("CPU", 1), resources.get("GPU", 0), workers)
        if spec.threads is None and "num_gpus" not in needs:
            spec = replace(spec, threads=max(1, int(needs["num_cpus"])))
        kind = ray.remote(ShardWorker)
        options = kind.options(max_restarts=-1, max_task_retries=_RETRIES, **needs)
        started += [options.remote(spec, output, str(Path.cwd())) for _ in range(count)]
        facts = _facts_of_all(ray, [worker.facts.remote() for worker in started])
        logger.info("%d workers on %d machines", count, len(ray.nodes()))
        yield RayExecutor(ray, started, facts)
    finally:
        for worker in started:
            ray.kill(worker)
        ray.shutdown()


def worker_resources(cpus: float, gpus: float, workers: int | None) -> tuple[int, dict[str, float]]:
    """Return how many workers there are, and what each of them asks Ray for.

    By default, one for each GPU, or for every two CPUs where there is none.
    """
    if gpus:
        count = workers or max(1, int(gpus))
        return count, {"num_cpus": max(1, cpus // count), "num_gpus": min(1, gpus / count)}
    count = workers or max(1, int(cpus // _CPUS))
    return count, {"num_cpus": max(1, cpus // count) if workers else min(_CPUS, max(1, cpus))}


def _facts_of_all(ray: Any, asked: list[Any]) -> Mapping[str, object]:
    """Wait until all workers are ready, and return their facts, which must be the same."""
    waiting = asked
    while waiting:
        _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_PATIENCE)
        if waiting:
            logger.info("waiting for %d of %d workers, until the cluster has room for them", len(waiting), len(asked))
    try:
        told = ray.get(asked)
    except ray.exceptions.RayActorError as error:
        raise WorkerError(f"a worker could not be started: {str(error).strip().splitlines()[-1]}") from error
    for one in told:
        if isinstance(one, _Elsewhere):
            raise one.error
        if one != told[0]:
            raise WorkerError(_different(json.dumps(told[0], sort_keys=True), json.dumps(one, sort_keys=True)))
    facts: Mapping[str, object] = told[0]
    return facts


def _enter(directory: str) -> None:
    """Work where the command was given, so that names mean the same files."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise WorkerError(
            f"{socket.gethostname()}: {directory}: {error.strerror}; all machines must see the same files, "
            "so give a directory that they share, or places in a store"
        ) from error


def _lost(shards: Iterable[Shard]) -> str:
    ordered = sorted(shards, key=lambda shard: shard.index)
    parts = [f"part {own.index} ({readable(own.file)}, from line {own.place.first_line:,})" for own in ordered]
    return (
        f"{' or '.join(parts)}: the worker was lost {_RETRIES + 1} times, perhaps for want of memory; "
        "with fewer --ray-workers, the same command goes on"
    )


def _different(expected: str, found: str) -> str:
    one, other = json.loads(expected), json.loads(found)
    names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    told = "; ".join(f"{name}: {json.dumps(other.get(name))}, elsewhere {json.dumps(one.get(name))}" for name in names)
    return f"{socket.gethostname()}: not set up like the other machines, so rows would differ: {told}"
