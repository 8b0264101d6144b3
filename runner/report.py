"""What a person is told of a run that has ended: the closing summary."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from zsre.relations.terminal import printable
from zsre.runner.counts import MOST_UNNAMED, Counts, counted
from zsre.runner.logs import with_fields
from zsre.runner.output import REJECTS_FILE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What the closing lines are made of.

    ``fresh`` was counted in these ``seconds``; ``counts`` also has what was done before a run went on.
    ``unseen_types`` are named by relations but no entity had one of them; entities had ``unnamed_types``, a few of
    those that no relation names. No document had the fields ``missing_fields``, which were to be passed through. With
    ``lower_threshold`` there are likely to be more triples, of relations whose words the default doesn't suit.
    ``rejects_in`` is where rejects are told.
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
    lower_threshold: float | None = None
    rejects_in: str = REJECTS_FILE


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
        reasons = f"{reject_reasons(counts)}; see {run.rejects_in}"
        yield f"  {counts.rejected:>9,}  of {counts.lines:,} lines rejected: {reasons}"
    if run.unseen_types:
        yield f"  no entity had the type {', '.join(run.unseen_types)}, which the relations name"
    if run.unnamed_types:
        more = "" if len(run.unnamed_types) < MOST_UNNAMED else " and perhaps others"
        yield f"  entities had types that no relation names: {', '.join(run.unnamed_types)}{more}"
    for name in run.missing_fields:
        yield f"  no document had the field '{name}' of --keep"
    if run.lower_threshold is not None:
        yield (
            "  few triples for so many pairs: relations in your own words score lower than the catalogue's; "
            f"look at what --threshold {run.lower_threshold:g} gives"
        )
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
