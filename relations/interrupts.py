"""Ctrl-C while modules load, which commands hear once they are loaded; and SIGTERM as if it were Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

#: The exit code of a command that Ctrl-C ended.
INTERRUPTED: Final = 130


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hear of Ctrl-C at the end: modules that aren't Python make an ImportError of it while they load.

    It does then what it would have done before, which is nothing where it is ignored.
    """
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM do as Ctrl-C does, where the usual end of a process would leave something behind.

    Signals are the main thread's; elsewhere, it stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
