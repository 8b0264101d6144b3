"""The loop of a run: shards in, parts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from zsre.runner.corpus import Place, Shard
from zsre.runner.job import Job
from zsre.runner.recording import Run
from zsre.runner.stages import Advance, PairSink, process_shards


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
