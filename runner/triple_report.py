"""What people and logs are told of the triples that extraction writes for labelled text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from zsre.relations.equivalents import Overlap
from zsre.relations.metrics import LIKELY, Scores
from zsre.relations.relation import RelationSet
from zsre.runner.counts import counted
from zsre.runner.flags import Entities
from zsre.runner.job import Job
from zsre.runner.overlap_report import overlap_figures, overlap_lines, seen_mark
from zsre.runner.scorer import Scorer
from zsre.runner.tables import figures_table, name_cell, percent, print_line
from zsre.runner.triple_eval import Measured
from zsre.runner.triple_metrics import Counted, Curve, Reliability, curve, reliability, scores

#: Points of a curve in the log.
LOGGED_POINTS: Final = 100


@dataclass(frozen=True)
class TripleEvaluation:
    """What extraction by a job made of labelled texts.

    ``overlap`` says which of the relations the model had seen in training. ``shared`` counts texts that were left out
    because they are among the ``training_data``.
    """

    job: Job
    measured: Measured
    entities: Entities
    texts: int
    overlap: Overlap
    shared: int = 0
    training_data: tuple[str, ...] = ()

    @property
    def relations(self) -> RelationSet:
        """Return the relations that were looked for."""
        return self.job.relations

    @property
    def scorer(self) -> Scorer:
        """Return the model."""
        return self.job.engine

    @property
    def counted(self) -> Counted:
        """Return the counts of what is written: the thresholds have been applied."""
        return self.measured.written.above(np.zeros(len(self.relations)))

    @property
    def curve(self) -> Curve:
        """Return the curve over one threshold for all relations."""
        return curve(self.measured.possible)

    @property
    def without_facts(self) -> tuple[str, ...]:
        """Return the relations that no text states."""
        return tuple(np.asarray(self.relations.ids)[self.counted.facts == 0].tolist())

    def reliability(self, least: float = 0.0) -> Reliability | None:
        """Compare the candidates' scores, those from ``least`` on, with what is right; None if there are none."""
        possible = self.measured.possible
        chosen = possible.score >= least
        return reliability(possible.score[chosen], possible.right[chosen]) if chosen.any() else None


def show_triples(console: Console, evaluation: TripleEvaluation, per_class: bool) -> None:
    """Print the figures for people."""
    for each in _summary(evaluation):
        print_line(console, each)
    console.print()
    console.print(_figures_table(evaluation))
    console.print()
    for each in _calibration_lines(evaluation):
        print_line(console, each)
    console.print()
    if per_class:
        console.print(_class_table(evaluation))
        console.print()
    unstated, contract = evaluation.without_facts, evaluation.scorer.contract
    for each in overlap_lines(evaluation.overlap, evaluation.relations, contract, unstated, by="texts"):
        print_line(console, each)
    if evaluation.training_data:
        print_line(console, f"measured on no text of the training data ({', '.join(evaluation.training_data)})")
    else:
        print_line(console, "measured texts may have been trained on; --training-data FILE leaves such texts out")


def triple_figures(evaluation: TripleEvaluation, per_class: bool = False) -> dict[str, Any]:
    """Return what is logged of the model and the measurement; precision, recall, F1 and errors are in percent."""
    measured, counts, contract = evaluation.measured, evaluation.counted, evaluation.scorer.contract
    all_scores, likely = evaluation.reliability(), evaluation.reliability(LIKELY)
    found = {
        "model": contract.name,
        "fingerprint": contract.fingerprint,
        "seen_data": list(contract.seen_data),
        "training_data": list(evaluation.training_data),
        "shared_texts": evaluation.shared,
        "measured_texts": evaluation.texts,
        "entities": evaluation.entities,
        "pipeline": evaluation.job.annotator.name,
        "relations": len(evaluation.relations),
        "pairs": measured.counts.scored_pairs,
        "written": int(counts.written.sum()),
        "undecided": measured.written.undecided,
        "facts": int(counts.facts.sum()),
        "reachable": int(counts.reachable.sum()),
        "micro": _scores(counts.micro),
        "micro_reachable": _scores(counts.micro_reachable),
        "macro": _scores(counts.macro),
        "one_threshold": _one_threshold(evaluation.curve),
        "curve": evaluation.curve.points(LOGGED_POINTS),
        "calibration_error": _error(all_scores),
        "calibration_error_likely": _error(likely),
        "reliability": [] if all_scores is None else all_scores.rows(),
        "without_facts": list(evaluation.without_facts),
        **overlap_figures(evaluation.overlap),
        "device": evaluation.scorer.device,
    }
    return found | ({"per_class": _class_figures(evaluation)} if per_class else {})


def _summary(evaluation: TripleEvaluation) -> list[str]:
    measured, counts = evaluation.measured, evaluation.counted
    facts, reachable = int(counts.facts.sum()), int(counts.reachable.sum())
    written, undecided = int(counts.written.sum()), measured.written.undecided
    whose = {"given": "the labels' entities", "spacy": "entities found by spaCy", "both": "the labels' and spaCy's"}
    lines = [
        f"{evaluation.scorer.contract.name}: {counted(evaluation.texts, 'text')}, {whose[evaluation.entities]}, "
        f"{counted(len(evaluation.relations), 'relation')}, {counted(measured.counts.scored_pairs, 'scored pair')}",
        f"  {counted(written, 'triple')} written, not counting {undecided:,} that nobody decided on",
        f"  {counted(facts, 'fact')} stated, {reachable:,} of them between two mentions of one sentence",
    ]
    if evaluation.shared:
        lines.append(f"  not measured: {counted(evaluation.shared, 'text')} of the training data")
    return lines


def _figures_table(evaluation: TripleEvaluation) -> Table:
    counts, points = evaluation.counted, evaluation.curve
    found = figures_table("", "precision", "recall", "F1")
    rows: list[tuple[str, Scores]] = [
        ("micro", counts.micro),
        ("micro, of facts in one sentence", counts.micro_reachable),
        ("macro", counts.macro),
    ]
    if len(points.threshold):
        best = points.best()
        threshold, single = points.threshold[best], Scores(points.precision[best], points.recall[best], points.f1[best])
        rows.append((f"one threshold, the best for these labels ({threshold:.2f})", single))
    for name, each in rows:
        found.add_row(name, *map(percent, (each.precision, each.recall, each.f1)))
    return found


def _calibration_lines(evaluation: TripleEvaluation) -> list[str]:
    lines = []
    for least, what in ((0.0, "all {} candidates"), (LIKELY, f"the {{}} with a score of {LIKELY} or more")):
        found = evaluation.reliability(least)
        if found is not None:
            lines.append(f"expected calibration error {found.error:.3f} over {what.format(f'{found.count.sum():,}')}")
    return lines


def _class_table(evaluation: TripleEvaluation) -> Table:
    found = figures_table("relation", "name", "precision", "recall", "F1", "written", "facts", "seen in training")
    for relation, row in _rows(evaluation).items():
        each = scores(*row)
        shown = [percent(each.precision) if row[0] else "", percent(each.recall) if row[3] else ""]
        figures = (*shown, percent(each.f1), f"{row[0]:,}", f"{row[3]:,}")
        name = evaluation.relations[relation].name
        found.add_row(
            name_cell(relation), name_cell(name), *figures, name_cell(seen_mark(evaluation.overlap, relation))
        )
    return found


def _class_figures(evaluation: TripleEvaluation) -> Mapping[str, Mapping[str, float]]:
    names = ("written", "right", "found", "facts")
    return {
        relation: {**_scores(scores(*row)), **dict(zip(names, row, strict=True))}
        for relation, row in _rows(evaluation).items()
    }


def _rows(evaluation: TripleEvaluation) -> dict[str, list[int]]:
    """Return written, right, found and facts of the relations of which there are any."""
    counts = evaluation.counted
    columns: list[NDArray[np.int64]] = [counts.written, counts.right, counts.found, counts.facts]
    rows = zip(evaluation.relations.ids, *(column.tolist() for column in columns), strict=True)
    return {relation: row for relation, *row in rows if row[0] + row[3]}


def _scores(found: Scores) -> dict[str, float]:
    values = {"precision": found.precision, "recall": found.recall, "f1": found.f1}
    return {name: round(100 * value, 2) for name, value in values.items()}


def _one_threshold(points: Curve) -> dict[str, float] | None:
    if not len(points.threshold):
        return None
    best = points.best()
    found = _scores(Scores(points.precision[best], points.recall[best], points.f1[best]))
    return {"threshold": round(float(points.threshold[best]), 4), **found}


def _error(found: Reliability | None) -> float | None:
    return None if found is None else round(100 * found.error, 2)
