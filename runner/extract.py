"""The loop of a run: shards in, parts out, in this process or, by another executor, elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Protocol

from zsre.runner.corpus import Place, Shard
from zsre.runner.job import Job
from zsre.runner.kept import KeptDirectory, KeptFacts, kept_facts
from zsre.runner.recording import Run
from zsre.runner.stages import Advance, PairSink, process_shards


class Executor(Protocol):
    """Whatever works on shards, with a job that it has loaded."""

    @property
    def facts(self) -> Mapping[str, object]:
        """Return what made the triples, and on what device."""

    def kept_facts(self, corpus: str, precision: str) -> KeptFacts:
        """Return what the vectors are that it makes."""

    def extract(self, shards: Iterable[Shard], run: Run, advance: Advance, vectors: KeptDirectory | None) -> None:
        """Process shards, and write down each of them; keep their vectors, too, if there is a directory for them."""


class LocalExecutor:
    """Works on one shard after the other, in this process."""

    def __init__(self, job: Job) -> None:
        self._job = job

    @property
    def facts(self) -> Mapping[str, object]:
        """Return what made the triples, and on what device."""
        return job_facts(self._job)

    def kept_facts(self, corpus: str, precision: str) -> KeptFacts:
        """Return what the vectors are that it makes."""
        return kept_facts(self._job, corpus, precision)

    def extract(self, shards: Iterable[Shard], run: Run, advance: Advance, vectors: KeptDirectory | None) -> None:
        """Process shards, and write down each of them."""
        extract(shards, self._job, run, advance, vectors)


def job_facts(job: Job) -> Mapping[str, object]:
    """Return everything about a job that can change a row, for ``run.json``."""
    return {"device": job.engine.device, **job.facts}


def extract(shards: Iterable[Shard], job: Job, run: Run, advance: Advance, sink: PairSink | None = None) -> None:
    """Process shards, and write down each of them."""
    places: dict[int, Place] = {}

    def placed() -> Iterator[Shard]:
        for shard in shards:
            places[shard.index] = shard.place
            yield shard

    with closing(process_shards(placed(), job, advance, sink)) as results:
        for result in results:
            run.commit(result, places.pop(result.index))
