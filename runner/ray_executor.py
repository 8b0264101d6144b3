"""Shards on many processes or machines, which Ray schedules.

Each worker loads the job for itself, opens what a shard names, writes its part and its record, and answers with what
was counted; neither texts nor triples pass through the process that hands out the shards. Ray restarts a worker that
was lost, and has its shards done again.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import socket
from collections import deque
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
from zsre.runner.output import OutputDirectory, read_run
from zsre.runner.ray_resources import machine_room, worker_resources
from zsre.runner.reading import ShardReader
from zsre.runner.recording import Run
from zsre.runner.stages import Advance, process_shard
from zsre.runner.storage import open_folder, reading
from zsre.runner.store_names import readable

logger = logging.getLogger(__name__)

#: Shards that a worker has been given: one that it works on, and one to go on with.
_AHEAD: Final = 2
#: How often a shard is done again whose worker was lost.
_RETRIES: Final = 3
#: Seconds that a run waits for all workers before it begins with those that are ready.
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

    def __init__(self, spec: JobSpec, output: str, directory: str, relative: bool = True) -> None:
        """Get ready; what goes wrong is told by `facts`, as a process that can't be made would only be tried again.

        Without ``relative``, no name that is opened here is one from ``directory`` on, which then may be missing.
        """
        self._stack = ExitStack()
        self._failed: ZsreError | None = None
        self._sees_the_run = False
        try:
            _enter(directory, relative)
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
            self._check_folder()
            result = process_shard(shard, self._job, sink=vectors, reader=self._reader)
            self._output.commit(result, shard.place)
        except ZsreError as error:
            return _Elsewhere(error)
        return result.counts

    def _check_folder(self) -> None:
        """Raise WorkerError if this machine doesn't see the run's folder under its name."""
        with reading(self._output.name):
            if not self._sees_the_run and read_run(self._output.folder) is None:
                raise WorkerError(_nowhere(self._output.name))
        self._sees_the_run = True


class _ShardError(Exception):
    """An error, and the first shard that it kept from being done: those before it may still be."""

    def __init__(self, index: float, error: ZsreError) -> None:
        super().__init__(index, error)
        self.index, self.error = index, error


#: Shards that were handed out, by what will be their outcome, and the workers that have them.
_Pending = dict[Any, tuple[Any, Shard]]


class RayExecutor:
    """Workers that Ray runs; made by `open_workers`.

    ``late`` are those that aren't ready yet, by what will be their facts: they join once they are.
    """

    def __init__(
        self, ray: Any, workers: list[Any], facts: Mapping[str, object], late: Mapping[Any, Any] | None = None
    ) -> None:
        self._ray, self._workers, self._late = ray, workers, dict(late or {})
        self.facts = facts
        self._made_by = json.dumps(facts, sort_keys=True)

    def kept_facts(self, corpus: str, precision: str) -> KeptFacts:
        """Return what the vectors are that the workers make."""
        found: KeptFacts = self._ray.get(self._workers[0].kept_facts.remote(corpus, precision))
        return found

    def extract(self, shards: Iterable[Shard], run: Run, advance: Advance, vectors: KeptDirectory | None) -> None:
        """Hand out shards, and take note of those that are written down.

        Raises what goes wrong first in the order of the input, once all shards before it are written down.
        """
        pending: _Pending = {}
        try:
            self._hand_out(shards, pending, run, advance, vectors)
            while pending:
                self._settle(self._first(pending), pending, run, advance)
        except _ShardError as error:
            failed = error
        except ZsreError as error:
            # The input broke off, or a worker that joined can't be used: neither is about a shard that was handed out.
            failed = _ShardError(math.inf, error)
        else:
            return
        while before := [done for done, (_, shard) in pending.items() if shard.index < failed.index]:
            try:
                self._settle(self._first(before), pending, run, advance)
            except _ShardError as error:
                failed = error
        raise failed.error

    def _hand_out(
        self, shards: Iterable[Shard], pending: _Pending, run: Run, advance: Advance, vectors: KeptDirectory | None
    ) -> None:
        free = deque(worker for _ in range(_AHEAD) for worker in self._workers)
        for shard in shards:
            if shard.kind == Kind.STREAM:
                raise UsageError("--engine ray: workers open the input for themselves, so it cannot be a stream")
            if not free:
                free.extend(self._freed(pending, run, advance))
            worker = free.popleft()
            pending[worker.process.remote(shard, self._made_by, vectors)] = (worker, shard)

    def _freed(self, pending: _Pending, run: Run, advance: Advance) -> list[Any]:
        """Wait until a worker joins or a shard is done; return the worker, once for each shard it may be given."""
        done = self._first([*self._late, *pending])
        if done in self._late:
            _check_same(self.facts, _told(self._ray, done))
            return [self._late.pop(done)] * _AHEAD
        return [self._settle(done, pending, run, advance)]

    def _first(self, awaited: Iterable[Any]) -> Any:
        """Wait for one of several outcomes, and return which it is."""
        (done,), _ = self._ray.wait(list(awaited), num_returns=1)
        return done

    def _settle(self, done: Any, pending: _Pending, run: Run, advance: Advance) -> Any:
        """Take note of a shard that is done, and return the worker that has done it; raise _ShardError if it isn't."""
        worker, shard = pending.pop(done)
        try:
            counts = self._ray.get(done)
        except self._ray.exceptions.RayActorError as error:
            # It had several, and any of them may be what it was lost at.
            held = [shard, *(other for owner, other in pending.values() if owner is worker)]
            raise _ShardError(min(own.index for own in held), WorkerError(_lost(held))) from error
        if isinstance(counts, _Elsewhere):
            raise _ShardError(shard.index, counts.error)
        run.note(shard.index, shard.place, counts)
        advance(shard.place.end - shard.place.start, counts.documents)
        return worker


@contextmanager
def open_workers(
    spec: JobSpec,
    output: str,
    address: str | None,
    workers: int | None,
    chatty: bool = True,
    relative: bool = True,
) -> Iterator[RayExecutor]:
    """Start so many workers on the cluster at an address (``None``: on this machine), and end them in the end.

    Those that have no room yet, or are slow to load, join later. If it is ``chatty``, what a worker prints comes out
    here, as it is. Without ``relative``, no name that workers open is one from the current directory on.
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
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        count, needs = worker_resources([machine_room(node, spec.device) for node in nodes], workers)
        if spec.threads is None and "num_gpus" not in needs:
            spec = replace(spec, threads=max(1, int(needs["num_cpus"])))
        kind = ray.remote(ShardWorker)
        options = kind.options(max_restarts=-1, max_task_retries=_RETRIES, **needs)
        started += [options.remote(spec, output, str(Path.cwd()), relative) for _ in range(count)]
        asked = {worker.facts.remote(): worker for worker in started}
        ready = _ready(ray, list(asked))
        facts = _told(ray, ready[0])
        for other in ready[1:]:
            _check_same(facts, _told(ray, other))
        begins = f"; the run begins with {len(ready)}, and others join once they have room and are ready"
        logger.info("%d workers on %d machines%s", count, len(nodes), begins if len(ready) < count else "")
        joined = [asked.pop(told) for told in ready]
        yield RayExecutor(ray, joined, facts, late=asked)
    finally:
        for worker in started:
            ray.kill(worker)
        ray.shutdown()


def _ready(ray: Any, asked: list[Any]) -> list[Any]:
    """Wait for all workers, or with patience at an end, for at least one; return which of them are ready."""
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE)
    while not ready:
        logger.info("waiting until the cluster has room for one of %d workers", len(asked))
        ready, _ = ray.wait(asked, num_returns=1, timeout=_PATIENCE)
    found: list[Any] = ready
    return found


def _told(ray: Any, asked: Any) -> Mapping[str, object]:
    """Return the facts of a worker that is ready; raise what it found wrong."""
    try:
        told: Mapping[str, object] | _Elsewhere = ray.get(asked)
    except ray.exceptions.RayActorError as error:
        raise WorkerError(f"a worker could not be started: {str(error).strip().splitlines()[-1]}") from error
    if isinstance(told, _Elsewhere):
        raise told.error
    return told


def _check_same(facts: Mapping[str, object], others: Mapping[str, object]) -> None:
    if others != facts:
        raise WorkerError(_different(json.dumps(facts, sort_keys=True), json.dumps(others, sort_keys=True)))


def _enter(directory: str, relative: bool) -> None:
    """Work where the command was given, so that names mean the same files; stay elsewhere if none is ``relative``."""
    try:
        os.chdir(directory)
    except OSError as error:
        if not relative:
            return
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


def _nowhere(output: str) -> str:
    return (
        f"{socket.gethostname()}: {output}: is not the folder of this run here; all machines must see the same one, so "
        "give a directory that they share, or a place in a store, with -o"
    )


def _different(expected: str, found: str) -> str:
    one, other = json.loads(expected), json.loads(found)
    names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    told = "; ".join(f"{name}: {json.dumps(other.get(name))}, elsewhere {json.dumps(one.get(name))}" for name in names)
    return f"{socket.gethostname()}: not set up like the other machines, so rows would differ: {told}"
