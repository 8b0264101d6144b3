"""Triples from kept vectors: neither spaCy nor the encoder is needed, only the model's relation half."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from threadpoolctl import threadpool_limits

from zsre.relations.errors import DataError
from zsre.relations.relation import BROAD_TYPES, Argument, Relation, RelationSet
from zsre.runner.ahead import map_ahead
from zsre.runner.corpus import Place
from zsre.runner.counts import Counts
from zsre.runner.inputs import Kind, Segment
from zsre.runner.job import Decider
from zsre.runner.kept import MARKER, AllowedTypes, KeptFacts
from zsre.runner.kept_shards import StoredShard, open_shard
from zsre.runner.pair_types import TypeMask
from zsre.runner.rules import Rules
from zsre.runner.scorer import RelationScorer
from zsre.runner.shard_triples import Decided, ShardResult, TripleTable, decided
from zsre.runner.storage import LocalFolder

#: A shard and the number of one of its windows.
_Window = tuple[StoredShard, int]
#: Windows for each thread: one that it works on, and one that waits for its turn to be written, or to be begun.
_AHEAD: Final = 2


@dataclass(frozen=True)
class KeptJob(Decider):
    """Everything that a shard of kept vectors needs to become triples."""

    kept: KeptFacts
    engine: RelationScorer
    relations: RelationSet
    rules: Rules

    @property
    def keep(self) -> tuple[str, ...]:
        """Return the fields that were passed through."""
        return self.kept.keep

    @property
    def pipeline(self) -> str:
        """Return what found sentences and entities."""
        return self.kept.pipeline

    @property
    def max_mentions(self) -> int:  # type: ignore[override]
        """Return the number of mentions beyond which pairs were left out."""
        return self.kept.max_mentions


def check_usable(path: Path, facts: KeptFacts, scorer: RelationScorer, relations: RelationSet) -> None:
    """Raise DataError if the vectors are another model's, or if relations allow pairs that were not kept."""
    contract = scorer.contract
    # Those that were kept by an earlier zsre go by all of their model.
    if facts.fingerprint not in (contract.vectors_fingerprint, contract.fingerprint):
        raise DataError(
            f"{path}: vectors of the model '{facts.fingerprint}' ({facts.model}), and those of this are "
            f"'{contract.vectors_fingerprint}' ({contract.name}): give that model with --model, or save them again"
        )
    missing = None if facts.types is None else unkept(facts.types, relations)
    if missing is not None:
        relation, head, tail = missing
        raise DataError(
            f"{path}: holds only pairs whose types the relations of its run allow, and '{relation.name}' also needs "
            f"{head or 'untyped'} to {tail or 'untyped'}: save the vectors again without --save-fitting"
        )


def kept_segment(path: Path, facts: KeptFacts) -> Segment:
    """Return a directory of vectors as an input, whose size is its number of shards."""
    told = hashlib.sha256((path / MARKER).read_bytes())
    for name, size in sorted(LocalFolder(path).files().items()):
        told.update(f"{name} {size}\n".encode())
    return Segment(str(path), Kind.VECTORS, facts.shards, told.hexdigest()[:32])


def kept_place(index: int, counts: Counts) -> Place:
    """Return where a shard of vectors stands among them."""
    return Place(0, index + 1, counts.lines, counts.lines - counts.blank_lines, index, index + 1)


def unkept(kept: AllowedTypes, relations: RelationSet) -> tuple[Relation, str | None, str | None] | None:
    """Return a relation that allows types of head and tail that were not kept, and such types."""
    before = TypeMask(
        RelationSet(tuple(Relation(str(n), "", "", Argument(h), Argument(t)) for n, (h, t) in enumerate(kept)))
    )
    named = {name for types in kept for end in types for name in end}
    named.update(name for own in relations for name in (*own.head.types, *own.tail.types))
    # An entity may also have a type that nobody names, or none.
    universe: list[str | None] = [*sorted(named.union(BROAD_TYPES)), "any other type", None]
    for relation in relations:
        for head, tail in product(universe, universe):
            if relation.allows(head, tail) and not before.admits(head, tail):
                return relation, head, tail
    return None


def kept_results(path: Path, job: KeptJob, indices: Iterable[int], threads: int) -> Generator[ShardResult]:
    """Decide on one shard after the other, on the windows of each in so many threads."""
    # Worked out once, before several threads ask for it.
    _ = job.relation_vectors, job.mask, job.schema

    def work(window: _Window) -> Decided | None:
        shard, number = window
        if number == shard.windows:
            return None
        found = shard.window(number)
        done = decided(found, job)
        done.counts.types_seen.update(job.mask.named(found.mention_types()))
        return done

    triples = TripleTable(job)
    with ExitStack() as ending:
        # Each product in the thread that asks for it: NumPy would share out every one, and threads wait for each other.
        ending.enter_context(threadpool_limits(1, "blas"))
        pool = ending.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="zsre-decide"))
        ahead = map_ahead(pool, work, _windows(path, job, indices), threads * _AHEAD)
        for (shard, _), done in ending.enter_context(closing(ahead)):
            if done is not None:
                triples.add(done)
                continue
            # Those that other relations named, or didn't; which of the types were given is not kept.
            shard.counts.types_seen.clear()
            shard.counts.types_unnamed.clear()
            yield triples.result(shard.index, (), shard.counts)
            triples = TripleTable(job)


def _windows(path: Path, job: KeptJob, indices: Iterable[int]) -> Iterator[_Window]:
    """Yield the windows of one shard after the other, and after the last of each a number beyond it."""
    for index in indices:
        shard = open_shard(path, job.kept, index)
        yield from ((shard, number) for number in range(shard.windows + 1))
