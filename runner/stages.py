"""A shard in, a table of triples out: read and pair, encode, decide. The stages overlap, across shards, too.

What passes between them are windows: a few thousand sentences with their pairs, which never cross a shard. Within a
window, rows are encoded by length; what comes out is in the order of the text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from functools import partial
from typing import Final, Protocol

from zsre.relations.errors import DataError
from zsre.runner.ahead import work_ahead
from zsre.runner.batch import Batch, begin, count_unread, encoded
from zsre.runner.corpus import Shard
from zsre.runner.counts import Counts
from zsre.runner.job import Job
from zsre.runner.paired_windows import Progress, ShardEnd, Window, paired_windows
from zsre.runner.reading import ShardReader
from zsre.runner.scorer import Encoding
from zsre.runner.shard_triples import ShardResult, TripleTable, decided

#: Windows that a stage may be ahead of the next one, ends of shards among them.
_AHEAD: Final = 2

#: Called as work gets done, with the bytes of input and the documents it came to.
Advance = Callable[[int, int], None]


def _nothing(size: int, documents: int) -> None:
    """Take no note of progress."""


class PairSink(Protocol):
    """Where the vectors of pairs are kept, shard by shard."""

    def open(self, index: int) -> ShardSink:
        """Begin a shard."""


class ShardSink(Protocol):
    """Where the vectors of one shard's pairs are kept."""

    def add(self, batch: Batch) -> None:
        """Keep a batch; they come in order."""

    def commit(self, counts: Counts) -> None:
        """Put the shard in its place: all of its batches were added."""

    def close(self) -> None:
        """Let go of what wasn't committed."""


def process_shard(
    shard: Shard,
    job: Job,
    advance: Advance = _nothing,
    sink: PairSink | None = None,
    reader: ShardReader | None = None,
) -> ShardResult:
    """Turn a shard into one table of triples, by document, sentence, head, tail and falling score.

    It depends on the shard and the job alone, so that it can be done anywhere, and done again.
    """
    with closing(process_shards([shard], job, advance, sink, reader)) as results:
        (result,) = results
    return result


def process_shards(
    shards: Iterable[Shard],
    job: Job,
    advance: Advance = _nothing,
    sink: PairSink | None = None,
    reader: ShardReader | None = None,
) -> Generator[ShardResult]:
    """Do as `process_shard` does for one shard after the other, with reading, encoding and deciding overlapped.

    The next window is on its way before the vectors of one are waited for, so that no processor, or GPU, waits for a
    window's end. Waiting is done in this thread, where Ctrl-C is heard. A ``reader`` that is given stays open.
    """
    with ExitStack() as ending:
        # In the end, from the last to the first: encoding and reading stop, deciding ends, all that is left is let go.
        decider = ThreadPoolExecutor(1, thread_name_prefix="zsre-decide")
        on_the_way = _OnTheWay(job, decider, advance, sink)
        ending.callback(on_the_way.close)
        ending.enter_context(decider)
        used = reader or ending.enter_context(closing(ShardReader(job.records.fields)))
        paired = ending.enter_context(
            closing(work_ahead(lambda stopped: paired_windows(shards, job, used, stopped), _AHEAD))
        )
        ending.callback(on_the_way.cancel)
        try:
            for item in paired:
                on_the_way.begin(item)
                on_the_way.hand_on(_AHEAD)
                yield from on_the_way.settled(_AHEAD)
            on_the_way.hand_on(0)
        except DataError:
            # Shards that came before are still worth having.
            on_the_way.hand_on(0)
            yield from on_the_way.settled(0)
            raise
        except KeyboardInterrupt:
            # And so are those that are all but decided on.
            on_the_way.hand_on_done()
            on_the_way.cancel()
            yield from on_the_way.settled(0)
            raise
        yield from on_the_way.settled(0)


class _OnTheWay:
    """Windows and ends of shards in their order: being encoded, then being decided on, until their shard is whole."""

    def __init__(self, job: Job, decider: Executor, advance: Advance, sink: PairSink | None) -> None:
        self._job, self._decider, self._advance, self._sink = job, decider, advance, sink
        # Ahead of any window: a model's threads do one thing after the other.
        decider.submit(lambda: job.relation_vectors)
        self._unfinished: deque[_Gathered] = deque()
        self._encoding: deque[tuple[_Gathered, Window | ShardEnd, Encoding | None]] = deque()
        self._deciding: deque[tuple[Progress, Future[ShardResult | None]]] = deque()
        self._within = self._between = False

    def begin(self, item: Window | ShardEnd) -> None:
        """Begin to encode a window, or take note of the end of a shard."""
        if not self._within:
            self._unfinished.append(_Gathered(item.index, self._job, self._sink))
        self._within = isinstance(item, Window)
        encoding = begin(item.candidates, self._job.engine) if isinstance(item, Window) else None
        self._encoding.append((self._unfinished[-1], item, encoding))

    def hand_on(self, most: int) -> None:
        """Hand on what comes first, to be decided on, until at most so many windows and ends of shards are left."""
        while len(self._encoding) > most:
            gathered, item, encoding = self._encoding[0]
            if encoding is not None and isinstance(item, Window):
                step: Callable[[], ShardResult | None] = partial(gathered.add, encoded(item.candidates, encoding))
            else:
                assert isinstance(item, ShardEnd)
                step = partial(gathered.finished, item)
            self._between = True
            self._encoding.popleft()
            self._deciding.append((item.progress, self._decider.submit(step)))
            self._between = False

    def hand_on_done(self) -> None:
        """Hand on what need not be waited for; after a Ctrl-C amid `hand_on` nothing, as a window might be missing."""
        if self._between:
            return
        waiting = (number for number, (_, _, encoding) in enumerate(self._encoding) if encoding and not encoding.done())
        self.hand_on(len(self._encoding) - next(waiting, len(self._encoding)))

    def settled(self, most: int) -> Iterator[ShardResult]:
        """Wait until at most so many decisions are pending; yield the shards that they finish."""
        while len(self._deciding) > most:
            # Ctrl-C while waiting leaves it pending, for the shards that are still worth having.
            wait((self._deciding[0][1],))
            progress, future = self._deciding.popleft()
            result = future.result()
            self._advance(progress.size, progress.documents)
            if result is not None:
                self._unfinished.popleft()
                yield result

    def cancel(self) -> None:
        """Stop encoding what nobody waits for any more."""
        for _, _, encoding in self._encoding:
            if encoding is not None:
                encoding.cancel()

    def close(self) -> None:
        """Let go of vectors that were not put in place."""
        for gathered in self._unfinished:
            gathered.close()


class _Gathered:
    """The triples of a shard, as its windows come, and its vectors, if they are kept."""

    def __init__(self, index: int, job: Job, sink: PairSink | None) -> None:
        self._job = job
        self._sink = None if sink is None else sink.open(index)
        self._triples = TripleTable(job)
        self._unread = Counts()

    def add(self, batch: Batch) -> None:
        """Decide on a batch."""
        count_unread(batch.vectors, self._unread)
        self._triples.add(decided(batch, self._job))
        if self._sink is not None:
            self._sink.add(batch)

    def finished(self, end: ShardEnd) -> ShardResult:
        """Return what the shard came to, its vectors in place."""
        end.counts.add(self._unread)
        if self._sink is not None:
            self._sink.commit(end.counts)
        return self._triples.result(end.index, end.rejects, end.counts)

    def close(self) -> None:
        """Let go of vectors that were not put in place."""
        if self._sink is not None:
            self._sink.close()
