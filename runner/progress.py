"""How far a run has come, while it runs: a bar on a terminal, lines in a log elsewhere."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zsre.runner.logs import with_fields

logger = logging.getLogger(__name__)

#: Between two lines of progress where there is no terminal, in seconds.
LOG_INTERVAL: Final = 30.0


class RunProgress(AbstractContextManager["RunProgress"]):
    """Progress through an input of ``size`` bytes (``None``: unknown): a bar on a terminal, log lines elsewhere.

    ``done`` bytes of it were there from the start. With ``as_log``, a terminal gets log lines, too.
    """

    def __init__(
        self, console: Console, size: int | None, quiet: bool = False, done: int = 0, as_log: bool = False
    ) -> None:
        self._size, self._done = size, done
        self._documents = 0
        self._started = self._logged = time.monotonic()
        self._log = not quiet and (as_log or not console.is_terminal)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[documents]:,} documents, {task.fields[rate]:,.0f}/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or as_log or not console.is_terminal,
        )
        self._task = self._bar.add_task("extracting", total=size, completed=done, documents=0, rate=0.0)

    def __enter__(self) -> RunProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, size: int, documents: int) -> None:
        """Take note of bytes and documents that have been dealt with."""
        self._documents += documents
        self._done += size
        now = time.monotonic()
        rate = self._documents / max(now - self._started, 1e-9)
        self._bar.update(self._task, advance=size, documents=self._documents, rate=rate)
        if self._log and now - self._logged >= LOG_INTERVAL:
            self._logged = now
            share = round(self._done / self._size, 4) if self._size else None
            fields = with_fields(documents=self._documents, documents_per_second=round(rate, 1), share_done=share)
            logger.info("%s documents, %.0f/s", f"{self._documents:,}", rate, extra=fields)
