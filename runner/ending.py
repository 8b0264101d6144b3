"""How a run of ``zsre-extract`` ends: what it came to is told, and whether that was enough."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from zsre.relations.catalogue import load_catalogue
from zsre.relations.errors import NothingExtractedError, TooManyRejectsError
from zsre.relations.relation import RelationSet
from zsre.runner.counts import Counts
from zsre.runner.output import REJECTS_FILE
from zsre.runner.pair_types import TypeMask
from zsre.runner.recording import Run
from zsre.runner.report import RunSummary, reject_reasons, tell_summary

EMPTY: Final = "holds no records, so there is nothing to extract from"
_SHOWN_ON_A_TERMINAL: Final = 10
#: Triples for a scored pair below which they are few: of the catalogue in its own words come some 4 for 100.
_FEW: Final = 0.01


def finish(
    args: argparse.Namespace,
    relations: RelationSet,
    keep: Sequence[str],
    run: Run,
    facts: Mapping[str, Any],
    seconds: float,
    rejects_in: str | None = None,
) -> None:
    """Report what a run came to; raise an error for one that came to nothing, or to too little.

    ``rejects_in`` is where rejects are told, if that isn't a file of this run.
    """
    counts, output = run.counts, run.output
    if counts.documents == 0:
        raise NothingExtractedError(_nothing(str(facts["corpus"]), run, rejects_in))
    summary = RunSummary(
        counts,
        run.fresh,
        seconds,
        facts["device"],
        facts["model"]["name"],
        output.name,
        # What spaCy finds has the types that it has.
        unseen_types=tuple(TypeMask(relations).unseen(counts.types_seen)) if counts.given_entities else (),
        unnamed_types=tuple(sorted(counts.types_unnamed)) if counts.given_entities else (),
        missing_fields=tuple(name for name in keep if counts.fields_missing[name] == counts.documents),
        lower_threshold=lower_threshold(args, relations, counts, facts["thresholds"]),
        rejects_in=rejects_in or REJECTS_FILE,
    )
    tell_summary(summary, args.quiet, args.log_format == "json")
    shown = args.show
    if shown is None:
        shown = _SHOWN_ON_A_TERMINAL if sys.stdout.isatty() and not args.quiet else 0
    if shown and counts.triples:
        from zsre.runner.shown import show_triples

        show_triples(output, shown)
    records = counts.lines - counts.blank_lines
    if counts.rejected > args.max_reject_rate * records:
        raise TooManyRejectsError(
            f"{counts.rejected:,} of {records:,} records were rejected ({reject_reasons(counts)}), and "
            f"--max-reject-rate {args.max_reject_rate:g} allows fewer; "
            f"see {rejects_in or output.folder.within(REJECTS_FILE)}; "
            "the triples of the others are complete"
        )


def lower_threshold(
    args: argparse.Namespace, relations: RelationSet, counts: Counts, thresholds: Mapping[str, float]
) -> float | None:
    """Return a threshold worth a look, half of the model's, where that gives few triples of relations in own words.

    None where somebody chose thresholds, and of relations in the catalogue's words, which the model's threshold suits.
    """
    chosen = args.threshold is not None or any(relation.threshold is not None for relation in relations)
    if chosen or counts.triples >= _FEW * counts.scored_pairs:
        return None
    known = {relation.description for relation in load_catalogue()}
    if all(relation.description in known for relation in relations):
        return None
    return max(thresholds.values()) / 2


def _nothing(corpus: str, run: Run, rejects_in: str | None) -> str:
    if not run.counts.rejected:
        return f"{corpus}: {EMPTY}"
    return (
        f"{corpus}: every record was rejected ({reject_reasons(run.counts)}); "
        f"{rejects_in or run.output.folder.within(REJECTS_FILE)} says what is wrong with each; "
        "mend the corpus, and run again"
    )
