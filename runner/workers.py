"""A spaCy pipeline in several processes: texts out, offsets back, in order.

spaCy has a way of its own (``n_process``), which waits forever for a process that was killed or for one that still
has something to send when the reader stops; and it sends whole documents where offsets will do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from typing import Final

from zsre.relations.errors import WorkerError
from zsre.runner.pipeline import Annotation, SpacyPipeline, load_pipeline, text_batches

#: Batches handed out for each process: one that it works on, and one to go on with.
_AHEAD: Final = 2

_own: SpacyPipeline
"""The pipeline of a worker process."""


class WorkerPipeline:
    """Processes that each load the pipeline once, and share the texts."""

    def __init__(self, pipeline: SpacyPipeline, processes: int) -> None:
        self.name, self.labels = pipeline.name, pipeline.labels
        self._processes = processes
        # Spawned, because ONNX Runtime has threads in this process, which a fork would not survive.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(pipeline.spec,))

    def annotate(self, texts: Iterable[str], find_entities: bool) -> Iterator[Annotation]:
        """Yield what is found in each text, in order; raise WorkerError if a process dies."""
        batches = text_batches(texts)
        handed_out: deque[Future[list[Annotation]]] = deque()
        try:
            while True:
                wanted = self._processes * _AHEAD - len(handed_out)
                handed_out.extend(self._submit(batch, find_entities) for batch in islice(batches, wanted))
                if not handed_out:
                    return
                yield from handed_out.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerError(
                "a spaCy process died, perhaps killed for want of memory: run again with fewer --processes"
            ) from error

    def close(self) -> None:
        """End the processes, after the batches that they are at."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, batch: list[str], find_entities: bool) -> Future[list[Annotation]]:
        with _interrupts_held():
            return self._pool.submit(_annotate, batch, find_entities)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that never see Ctrl-C, which a terminal sends to all: only the first process deals with it.

    Where signals can't be blocked, as on Windows, a process ignores them from when it has started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started with the first process otherwise, and it unblocks the signal once it has.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(spec: str) -> None:
    """Make a new process ready: it ignores Ctrl-C, and ends when the first one is gone, however that went."""
    global _own  # noqa: PLW0603
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own = load_pipeline(spec)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _annotate(texts: list[str], find_entities: bool) -> list[Annotation]:
    return _own.annotate_batch(texts, find_entities)
