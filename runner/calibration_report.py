"""What people and logs are told of scores and thresholds that were fitted to their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console

from zsre.relations.metrics import Scores
from zsre.runner.counts import counted
from zsre.runner.eval_triples import Calibrated
from zsre.runner.evaluate import some
from zsre.runner.tables import figures_table, percent, print_line


def show_calibration(console: Console, calibrated: Calibrated) -> None:
    """Print what was fitted and what it does, for people."""
    possible, validated = calibrated.measured.possible, calibrated.validated
    right = int(possible.right.sum())
    print_line(
        console,
        f"{calibrated.job.engine.contract.name}: fitted to {counted(calibrated.texts, 'text')}, "
        f"{counted(len(possible.right), 'candidate')}, {right:,} of them right",
    )
    if calibrated.unmet:
        print_line(console, f"  {calibrated.unmet}")
    console.print()
    table = figures_table("", "precision", "recall", "F1", "calibration error")
    before = calibrated.measured.written.above(np.zeros(len(calibrated.job.relations))).micro
    after = validated.counted.micro
    for name, found, error in (("before", before, validated.error_before), ("after", after, validated.error)):
        table.add_row(name, *map(percent, (found.precision, found.recall, found.f1)), f"{error:.3f}")
    console.print(table)
    print_line(console, "  after: each fifth of the texts, by what the other four gave")
    if calibrated.short:
        assert calibrated.target_precision is not None
        print_line(
            console,
            f"  on texts that it was not fitted to, less was right than the {percent(calibrated.target_precision)} "
            "asked for: label more, or ask for more than you need",
        )
    console.print()
    thresholds = [relation.threshold or 0.0 for relation in calibrated.written]
    print_line(
        console,
        f"{calibrated.written.source}: thresholds from {min(thresholds):.2g} to {max(thresholds):.2g}; written is what "
        f"is right with a probability of {calibrated.fitted.cut:.2g} or more",
    )
    if unlabelled := unlabelled_relations(calibrated):
        print_line(console, f"  without a label, so with what the others gave ({len(unlabelled)}): {some(unlabelled)}")


def calibration_figures(calibrated: Calibrated) -> dict[str, Any]:
    """Return what is logged of a fit; precision, recall, F1 and errors are in percent."""
    possible, validated, contract = calibrated.measured.possible, calibrated.validated, calibrated.job.engine.contract
    before = calibrated.measured.written.above(np.zeros(len(calibrated.job.relations))).micro
    return {
        "model": contract.name,
        "fingerprint": contract.fingerprint,
        "fitted_texts": calibrated.texts,
        "candidates": len(possible.right),
        "right": int(possible.right.sum()),
        "labels": calibrated.measured.labels,
        "unmet_labels": calibrated.measured.unmet,
        "slope": calibrated.fitted.slope,
        "intercept": calibrated.fitted.intercept,
        "cut": round(calibrated.fitted.cut, 4),
        "thresholds": {relation.id: relation.threshold for relation in calibrated.written},
        "without_labels": unlabelled_relations(calibrated),
        "before": _figures(before, validated.error_before),
        "after": _figures(validated.counted.micro, validated.error),
    }


def unlabelled_relations(calibrated: Calibrated) -> list[str]:
    """Return the relations that no candidate was judged for."""
    judged = set(calibrated.measured.possible.relation.tolist())
    return [relation.id for place, relation in enumerate(calibrated.job.relations) if place not in judged]


def _figures(found: Scores, error: float) -> dict[str, float]:
    shares = {"precision": found.precision, "recall": found.recall, "f1": found.f1, "calibration_error": error}
    return {name: round(100 * share, 2) for name, share in shares.items()}
