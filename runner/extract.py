"""The loop of a run: shards in, parts out."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from zsre.runner.corpus import Shard
from zsre.runner.counts import Counts
from zsre.runner.job import Job
from zsre.runner.output import OutputDirectory
from zsre.runner.stages import Advance, PairSink, ShardResult, process_shards


def extract(
    shards: Iterable[Shard],
    job: Job,
    output: OutputDirectory,
    advance: Advance,
    totals: Counts,
    sink: PairSink | None = None,
) -> None:
    """Process shards, each into a part file, and add what happened to ``totals``."""
    with closing(process_shards(shards, job, advance, sink)) as results:
        write_results(results, output, totals)


def write_results(results: Iterable[ShardResult], output: OutputDirectory, totals: Counts) -> None:
    """Write each shard's rejects and triples, and add up what was counted."""
    for result in results:
        output.add_rejects(result.rejects)
        output.write_part(result.index, result.table)
        totals.add(result.counts)
