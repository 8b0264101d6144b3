"""Working ahead: a stage of a pipeline runs in threads of its own while the next stage deals with what it gave."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")
Made = TypeVar("Made")
_PATIENCE: Final = 0.1


@dataclass(frozen=True, slots=True)
class _End:
    """No more items, because there are none or because of an error."""

    error: BaseException | None


def map_ahead(
    pool: Executor, work: Callable[[Item], Made], items: Iterable[Item], most: int
) -> Generator[tuple[Item, Made]]:
    """Yield each item with what the pool makes of it, in their order, while the pool is at most ``most`` items ahead.

    Whatever fails, an item's work or the items themselves, is raised after all that came before it. When the reader
    stops early, what isn't begun is dropped.
    """
    assert most >= 1
    pending: deque[tuple[Item, Future[Made]]] = deque()
    error: Exception | None = None

    def first() -> tuple[Item, Made]:
        item, future = pending.popleft()
        return item, future.result()

    coming = iter(items)
    try:
        while error is None:
            try:
                item = next(coming)
            except StopIteration:
                break
            except Exception as raised:
                error = raised
            else:
                pending.append((item, pool.submit(work, item)))
                if len(pending) > most:
                    yield first()
        while pending:
            yield first()
        if error is not None:
            raise error
    finally:
        for _, future in pending:
            future.cancel()
        wait([future for _, future in pending])


def work_ahead(begin: Callable[[threading.Event], Generator[T]], most: int) -> Generator[T]:
    """Yield items that another thread works out before they are asked for, at most ``most`` of them ahead.

    ``begin`` is given an event that is set when the reader stops early; its items may then end at once.
    What the thread raises is raised here, after the items that came before it.
    """
    assert most >= 1
    ready: queue.Queue[T | _End] = queue.Queue(most)
    stopped = threading.Event()
    items = begin(stopped)

    def put(item: T | _End) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return

    def work() -> None:
        error = None
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    break
        except BaseException as raised:  # whatever it is, the reader is the one to deal with it
            error = raised
        finally:
            items.close()
        put(_End(error))

    worker = threading.Thread(target=work, name="zsre-ahead", daemon=True)
    worker.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        worker.join()
