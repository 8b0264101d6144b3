"""A spaCy pipeline in several processes: texts out, offsets back, in order.

spaCy has a way of its own (``n_process``), which waits forever for a process that was killed or for one that still
has something to send when the reader stops; and it sends whole documents where offsets will do. The pool of
``concurrent.futures`` waits forever for the rest of a message whose sender was killed, as all processes write into one
pipe. Here each has a pipe to itself, which ends with it.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Final

from zsre.relations.errors import WorkerError
from zsre.runner.pipeline import Annotation, SpacyPipeline, load_pipeline, text_batches

#: Batches handed out for each process: one that it works on, and one to go on with.
_AHEAD: Final = 2
#: Seconds to wait for a process whose pipe has ended to say how it ended.
_ENDING: Final = 1.0


class WorkerPipeline:
    """Processes that each load the pipeline once, and share the texts."""

    def __init__(self, pipeline: SpacyPipeline, processes: int) -> None:
        self.name, self.labels = pipeline.name, pipeline.labels
        with _interrupts_held():
            self._workers = [_Worker(pipeline.spec) for _ in range(processes)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(processes, "zsre-spacy")

    @property
    def processes(self) -> list[int]:
        """Return the identifiers of the processes."""
        return [worker.process_id for worker in self._workers]

    def annotate(self, texts: Iterable[str], find_entities: bool) -> Iterator[Annotation]:
        """Yield what is found in each text, in order; raise WorkerError if a process fails or dies."""
        batches = text_batches(texts)
        handed_out: deque[Future[list[Annotation]]] = deque()
        try:
            while True:
                wanted = len(self._workers) * _AHEAD - len(handed_out)
                new = islice(batches, wanted)
                handed_out.extend(self._threads.submit(self._annotate, batch, find_entities) for batch in new)
                if not handed_out:
                    return
                yield from handed_out.popleft().result()
        finally:
            for future in handed_out:
                future.cancel()

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)

    def _annotate(self, batch: list[str], find_entities: bool) -> list[Annotation]:
        worker = self._idle.get()
        try:
            return worker.annotate(batch, find_entities)
        finally:
            self._idle.put(worker)


class _Worker:
    """A process, and this end of its pipe: the only one here, so that reading and writing fail once it is dead."""

    def __init__(self, spec: str) -> None:
        # Spawned, because ONNX Runtime has threads in this process, which a fork would not survive.
        context = multiprocessing.get_context("spawn")
        self._pipe, other_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(other_end, spec), daemon=True)
        self._process.start()
        other_end.close()

    @property
    def process_id(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def annotate(self, batch: list[str], find_entities: bool) -> list[Annotation]:
        """Return what the process finds in a batch; raise WorkerError if it fails or dies."""
        try:
            self._pipe.send((batch, find_entities))
            found: list[Annotation] | _Failure = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(_ENDING)
            raise WorkerError(
                f"a spaCy process died (exit code {self._process.exitcode}), perhaps killed for want of memory: run "
                "again with fewer --processes"
            ) from error
        if isinstance(found, _Failure):
            raise WorkerError(f"a spaCy process failed: {found.told}")
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


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


def _serve(pipe: Connection, spec: str) -> None:
    """Annotate what comes through the pipe until the first process is gone, however that went; ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, ConnectionError):
        pipeline = _tried(load_pipeline, spec)
        while True:
            batch = pipe.recv()
            pipe.send(pipeline if isinstance(pipeline, _Failure) else _tried(pipeline.annotate_batch, *batch))


@dataclass(frozen=True)
class _Failure:
    """What was raised, in words: not every exception survives a pipe."""

    told: str


def _tried(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what comes of it, or a failure, whose traceback goes to standard error."""
    try:
        return work(*arguments)
    except Exception as error:
        traceback.print_exc()
        return _Failure(f"{type(error).__name__}: {error}")
