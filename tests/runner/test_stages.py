from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait

import pytest

from tests.runner.fakes import FakeEngine, held_shard, jsonl, make_job
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner import batch, stages
from zsre.runner.batch import Batch
from zsre.runner.corpus import Shard
from zsre.runner.counts import Counts
from zsre.runner.stages import process_shard, process_shards

TEXTS = ["Ann founded Acme.  Ann married Bob.", "Cy was born in Paris.", "nothing here", "Acme was founded by Dee."]


def _shards(count: int) -> list[Shard]:
    found = []
    for index in range(count):
        texts = [{"id": f"{index}-{text}", "text": text} for text in TEXTS[index % 3 :]]
        lines = [*jsonl(texts).splitlines(), b"{", b""]
        found.append(held_shard(lines, index))
    return found


@pytest.mark.parametrize("sentences", [1, 2, 1000])
def test_overlapped_shards_come_to_the_same_as_one_by_one(sentences: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH_SENTENCES", sentences)
    told: list[tuple[int, int]] = []
    job, shards = make_job(), _shards(7)
    overlapped = list(process_shards(shards, job, lambda size, documents: told.append((size, documents))))
    alone = [process_shard(shard, job) for shard in shards]
    assert [found.index for found in overlapped] == list(range(7))
    for one, other in zip(overlapped, alone, strict=True):
        assert one.table.equals(other.table) and one.rejects == other.rejects
        assert one.counts.to_dict() == other.counts.to_dict()
    sizes, documents = zip(*told, strict=True)
    assert sum(sizes) == sum(line.size for shard in shards for line in shard.held)
    assert sum(documents) == sum(found.counts.documents for found in alone)


def test_encoding_stays_in_the_thread_that_hears_ctrl_c_and_reading_does_not() -> None:
    threads: dict[str, set[str]] = {"encode": set(), "annotate": set()}

    class Watched(FakeEngine):
        def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
            threads["encode"].add(threading.current_thread().name)
            return super().encode(sentences)

    job = make_job(engine=Watched())
    annotate = job.annotator.annotate

    def watched(records):  # type: ignore[no-untyped-def]
        threads["annotate"].add(threading.current_thread().name)
        return annotate(records)

    job.annotator.annotate = watched  # type: ignore[method-assign]
    list(process_shards(_shards(2), job))
    assert threads == {"encode": {"MainThread"}, "annotate": {"zsre-ahead"}}


class Sink:
    """Notes what becomes of shards."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, int]] = []

    def open(self, index: int) -> ShardNotes:
        return ShardNotes(self, index)


class ShardNotes:
    def __init__(self, sink: Sink, index: int) -> None:
        self.sink, self.index = sink, index
        self.committed = False

    def add(self, encoded: Batch) -> None:
        assert not self.committed

    def commit(self, counts: Counts) -> None:
        self.committed = True
        self.sink.notes.append(("committed", self.index))

    def close(self) -> None:
        if not self.committed:
            self.sink.notes.append(("dropped", self.index))


def test_vectors_of_a_shard_that_breaks_off_are_dropped() -> None:
    class Breaking(FakeEngine):
        def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
            if len(self.batches) == 2:
                raise RuntimeError("no memory")
            return super().encode(sentences)

    sink = Sink()
    with pytest.raises(RuntimeError, match="no memory"):
        list(process_shards(_shards(4), make_job(engine=Breaking()), sink=sink))
    assert ("dropped", 2) in sink.notes and ("committed", 2) not in sink.notes
    done = [index for what, index in sink.notes if what == "committed"]
    assert done == list(range(len(done)))
    assert not any(thread.name.startswith(("zsre-ahead", "zsre-decide")) for thread in threading.enumerate())


def test_ctrl_c_while_waiting_loses_no_shard_that_was_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = 0

    def interrupted(futures: Sequence[Future[object]]) -> None:
        nonlocal waited
        waited += 1
        if waited == 6:
            raise KeyboardInterrupt
        wait(futures)

    monkeypatch.setattr(stages, "wait", interrupted)
    sink, found = Sink(), []
    with pytest.raises(KeyboardInterrupt):
        for result in process_shards(_shards(7), make_job(), sink=sink):
            found.append(result.index)
    done = [index for what, index in sink.notes if what == "committed"]
    assert found == done == list(range(len(done))) and done
