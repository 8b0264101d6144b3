from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any

import pytest

from tests.runner.fakes import FakeEngine, held_shard, jsonl, make_job
from zsre.relations.errors import DataError, ModelError
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner import batch, stages
from zsre.runner.batch import Batch
from zsre.runner.corpus import Shard
from zsre.runner.counts import Counts
from zsre.runner.scorer import Encoding
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


def test_encoding_is_waited_for_in_the_thread_that_hears_ctrl_c_and_reading_is_not() -> None:
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


class Noted:
    """An encoding that notes what becomes of it; if it is ``quick``, it is done from the start."""

    def __init__(self, number: int, notes: list[str], encode: Callable[[], PairVectors], quick: bool) -> None:
        self.number, self.notes, self.encode, self.quick = number, notes, encode, quick

    def done(self) -> bool:
        return self.quick

    def result(self) -> PairVectors:
        self.notes.append(f"wait for {self.number}")
        return self.encode()

    def cancel(self) -> None:
        self.notes.append(f"cancel {self.number}")


class NotingEngine(FakeEngine):
    """Notes which windows are under way; ``failing`` is raised when the window of that number is waited for."""

    def __init__(self, failing: int = -1, error: BaseException | None = None, quick: int = 0) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.begun, self.failing, self.error, self.quick = 0, failing, error, quick

    def begin(self, sentences: Sequence[PairSentence]) -> Encoding:
        number, self.begun = self.begun, self.begun + 1
        self.notes.append(f"begin {number}")

        def encode() -> PairVectors:
            if number == self.failing and self.error is not None:
                raise self.error
            return self.encode(sentences)

        return Noted(number, self.notes, encode, quick=number < self.quick)


def test_the_next_window_is_under_way_before_one_is_waited_for() -> None:
    engine = NotingEngine()
    list(process_shards(_shards(4), make_job(engine=engine)))
    assert engine.notes == [
        "begin 0", "begin 1", "wait for 0", "begin 2", "wait for 1", "begin 3", "wait for 2", "wait for 3",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ModelError("model.onnx: the model failed")])
def test_what_is_under_way_is_dropped_when_a_run_ends_early(error: BaseException) -> None:
    engine = NotingEngine(failing=2, error=error)
    found = []
    with pytest.raises(type(error)):
        for result in process_shards(_shards(5), make_job(engine=engine)):
            found.append(result.index)
    assert engine.notes[5:7] == ["begin 3", "wait for 2"]
    assert set(engine.notes[7:]) == {"cancel 2", "cancel 3"}
    assert found == ([0, 1] if isinstance(error, KeyboardInterrupt) else [0, 1][: len(found)])


def test_ctrl_c_while_the_input_keeps_us_waiting_loses_no_shard_that_is_encoded() -> None:
    def shards() -> Iterator[Shard]:
        yield from _shards(3)
        raise KeyboardInterrupt

    engine, found = NotingEngine(quick=2), []
    with pytest.raises(KeyboardInterrupt):
        for result in process_shards(shards(), make_job(engine=engine)):
            found.append(result.index)
    assert found == [0, 1]


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("submitted", [False, True])
def test_ctrl_c_at_any_step_leaves_no_shard_that_lacks_a_window_or_has_one_twice(
    steps: int, submitted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(ThreadPoolExecutor):
        left = steps

        def submit(self, *args: Any, **named: Any) -> Future[Any]:
            self.left -= 1
            if self.left == 0 and not submitted:
                raise KeyboardInterrupt
            future = super().submit(*args, **named)
            if self.left == 0:
                raise KeyboardInterrupt
            return future

    monkeypatch.setattr(batch, "BATCH_SENTENCES", 1)
    alone = [process_shard(shard, make_job()) for shard in _shards(4)]
    monkeypatch.setattr(stages, "ThreadPoolExecutor", Interrupted)
    found = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(process_shards(_shards(4), make_job()))
    for result in found:
        assert result.table.equals(alone[result.index].table)
        assert result.counts.to_dict() == alone[result.index].counts.to_dict()


def test_shards_without_pairs_do_not_wait_for_one_with_pairs() -> None:
    read = 0

    def shards() -> Iterator[Shard]:
        nonlocal read
        yield _shards(1)[0]
        for index in range(1, 100):
            read = index
            yield held_shard(jsonl([{"id": f"{index}", "text": "nothing here"}]).splitlines(), index)

    with closing(process_shards(shards(), make_job())) as results:
        for result in results:
            assert read <= result.index + 12, "what is read ahead is bounded"
    assert read == 99


def test_shards_before_one_that_cannot_be_read_are_finished() -> None:
    def shards() -> Iterator[Shard]:
        yield from _shards(3)
        raise DataError("corpus.jsonl: is damaged")

    found = []
    with pytest.raises(DataError, match="is damaged"):
        for result in process_shards(shards(), make_job()):
            found.append(result.index)
    assert found == [0, 1, 2]
