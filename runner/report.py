"""What a person sees of a run: progress, the closing summary, and a table of the first triples."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Final

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from zsre.relations.errors import OutputError
from zsre.relations.terminal import printable
from zsre.runner.counts import MOST_UNNAMED, Counts, counted
from zsre.runner.logs import with_fields
from zsre.runner.output import REJECTS_FILE, OutputDirectory

logger = logging.getLogger(__name__)

#: Between two lines of progress where there is no terminal, in seconds.
LOG_INTERVAL: Final = 30.0
_WIDE_TERMINAL: Final = 110
_SHOWN_COLUMNS: Final = ("head", "relation", "tail", "score", "sentence")


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


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What the closing lines are made of.

    ``fresh`` was counted in these ``seconds``; ``counts`` also has what was done before a run went on.
    ``unseen_types`` are named by relations but no entity had one of them; entities had ``unnamed_types``, a few of
    those that no relation names. No document had the fields ``missing_fields``, which were to be passed through.
    """

    counts: Counts
    fresh: Counts
    seconds: float
    device: str
    model: str
    output: str
    unseen_types: tuple[str, ...] = ()
    unnamed_types: tuple[str, ...] = ()
    missing_fields: tuple[str, ...] = ()


def summary_lines(run: RunSummary) -> Iterator[str]:
    """Yield the closing summary, every loss in it, and no line about what didn't happen."""
    counts, fresh = run.counts, run.fresh
    seconds = max(run.seconds, 1e-9)
    before = counts.documents - fresh.documents
    yield (
        f"{counted(counts.triples, 'triple')} ({counted(counts.facts, 'distinct fact')}) "
        f"from {counted(counts.documents, 'document')}"
        + (f", {before:,} of them done before," if before else "")
        + f" in {run.seconds:,.1f} s"
    )
    yield f"  model      {run.model} on {run.device}"
    yield f"  documents  {counts.documents:,} ({fresh.documents / seconds:,.1f}/s)"
    yield f"  sentences  {counts.sentences:,} ({fresh.sentences / seconds:,.1f}/s)"
    yield f"  mentions   {counts.mentions:,}"
    yield f"  pairs      {counts.pairs:,}"
    yield f"  scored     {counts.scored_pairs:,} ({fresh.scored_pairs / seconds:,.1f}/s)"
    for count, what in _losses(counts):
        if count:
            yield f"  {count:>9,}  {what}"
    if counts.rejected:
        reasons = f"{reject_reasons(counts)}; see {REJECTS_FILE}"
        yield f"  {counts.rejected:>9,}  of {counts.lines:,} lines rejected: {reasons}"
    if run.unseen_types:
        yield f"  no entity had the type {', '.join(run.unseen_types)}, which the relations name"
    if run.unnamed_types:
        more = "" if len(run.unnamed_types) < MOST_UNNAMED else " and perhaps others"
        yield f"  entities had types that no relation names: {', '.join(run.unnamed_types)}{more}"
    for name in run.missing_fields:
        yield f"  no document had the field '{name}' of --keep"
    yield f"  output     {run.output}"


def tell_summary(run: RunSummary, quiet: bool, as_log: bool) -> None:
    """Say on standard error what a run came to, as lines or as one entry of a log."""
    if as_log:
        fields = with_fields(
            counts=run.counts.to_dict(), seconds=round(run.seconds, 1), device=run.device, output=run.output
        )
        logger.info("finished", extra=fields)
    elif not quiet:
        # Not by rich, which ends the program with an exit code of failure where the reader has gone.
        with suppress(OSError):
            print(*map(printable, summary_lines(run)), sep="\n", file=sys.stderr, flush=True)


def reject_reasons(counts: Counts) -> str:
    """Return the reasons for rejects, the most frequent first, each with its number."""
    ordered = sorted(counts.rejects.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {count:,}" for reason, count in ordered)


def first_triples(output: OutputDirectory, most: int) -> list[dict[str, Any]]:
    """Return the first ``most`` rows of a run, those columns of them that the table shows."""
    return list(islice(_rows(output), most))


def triples_table(rows: list[dict[str, Any]], width: int) -> Table:
    """Lay out rows for a terminal of ``width`` columns; one that is too narrow goes without the sentences."""
    columns = _SHOWN_COLUMNS if width >= _WIDE_TERMINAL else _SHOWN_COLUMNS[:-1]
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for column in columns:
        if column == "score":
            table.add_column(column, justify="right", min_width=5)
        else:
            table.add_column(column, ratio=5 if column == "sentence" else 2, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(
            *(f"{row[column]:.2f}" if column == "score" else Text(printable(row[column])) for column in columns)
        )
    return table


def write_out(text: str) -> None:
    """Write to standard output what a console captured; what its encoding lacks becomes a question mark.

    A reader that has seen enough, such as ``head``, may close the pipe. On that, rich itself would end the program with
    an exit code of failure.
    """
    encoding = sys.stdout.encoding or "utf-8"
    with writing_out():
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


@contextmanager
def writing_out() -> Iterator[None]:
    """Let a reader that has gone be; raise OutputError if standard output can't be written to."""
    try:
        yield
    except OSError as error:
        # Python flushes standard output once more on its way out, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"standard output: cannot be written to: {error.strerror}; send it elsewhere") from error


def _losses(counts: Counts) -> list[tuple[int, str]]:
    return [
        (counts.unfitting_pairs, "pairs not scored: no relation allows their types"),
        (counts.overlapping_pairs, "pairs not scored: their mentions overlap"),
        (counts.same_name_pairs, "pairs not scored: their mentions read the same"),
        (counts.crowded_pairs, f"pairs not scored: far apart in {counts.crowded_sentences:,} crowded sentences"),
        (counts.long_pairs, "pairs not scored: further apart than the model reads"),
        (counts.tokenless_pairs, "pairs not scored: a mention has no token that the model knows"),
        (counts.cut_sentences, "sentences longer than the model reads, seen through windows"),
        (counts.crossing_mentions, "mentions left out: they lie within no single sentence"),
        (counts.duplicate_mentions, "mentions left out: given twice"),
        (counts.repeated_ids, "documents (at least) with an id that came before"),
        (counts.blank_lines, "blank lines"),
    ]


def _rows(output: OutputDirectory) -> Iterator[dict[str, Any]]:
    for name in output.part_names():
        with output.folder.open(name) as file, pq.ParquetFile(file) as part:
            for batch in part.iter_batches(batch_size=64, columns=list(_SHOWN_COLUMNS)):
                yield from batch.to_pylist()
