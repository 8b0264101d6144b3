"""Working ahead: a stage of a pipeline runs in a thread of its own while the next stage deals with what it gave."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
_PATIENCE: Final = 0.1


@dataclass(frozen=True, slots=True)
class _End:
    """No more items, because there are none or because of an error."""

    error: BaseException | None


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
