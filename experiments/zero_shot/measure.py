"""What rejection rules make of candidates, each fitted on relations and texts that are not those measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experiments.zero_shot.candidates import Candidates
from experiments.zero_shot.rules import Fit
from zsre.relations.contract import Calibration
from zsre.relations.logistic import fit_logistic, sigmoid
from zsre.relations.metrics import LIKELY, Scores
from zsre.runner.triple_metrics import Counted, Curve, Judged, Reliability, curve, reliability

CURVE_POINTS: Final = 60


@dataclass(frozen=True)
class Decided:
    """Candidates with a rule's scores, from which the cut of their fold has been taken: 0 and above is written."""

    judged: Judged
    relations: int

    @property
    def written(self) -> Scores:
        """Precision of what is written, recall of all facts, F1."""
        return self._above.micro

    @property
    def written_reachable(self) -> Scores:
        """The same, with recall of the facts within one sentence."""
        return self._above.micro_reachable

    @property
    def macro(self) -> Scores:
        """Means over relations."""
        return self._above.macro

    @property
    def curve(self) -> Curve:
        """The curve over one shift of all cuts."""
        return curve(self.judged)

    @property
    def _above(self) -> Counted:
        return self.judged.above(np.zeros(self.relations))


def decide(known: Candidates, measured: Candidates, fit: Fit, relations: int) -> Decided:
    """Score candidates by a rule, each fold's fitted on the known candidates of all other folds.

    The cut is where F1 on those is highest. ``relations`` is how many there are in either.
    """
    shifted = np.empty(len(measured.judged.score))
    for fold in np.unique(measured.fold).tolist():
        others, own = known.of_folds(partial(np.not_equal, fold)), measured.of_folds(partial(np.equal, fold))
        rule = fit(others)
        points = curve(replace(others.judged, score=rule(others)))
        shifted[measured.fold == fold] = rule(own) - points.threshold[points.best()]
    return Decided(replace(measured.judged, score=shifted), relations)


def calibrated(known: Candidates, measured: Candidates, stored: Calibration) -> dict[str, Any]:
    """Return how far scores are from the share that is right, each fold's calibration fitted on all other folds.

    And how far those are that the calibration in the model gives, ``stored``.
    """
    scores = np.empty(len(measured.judged.score))
    for fold in np.unique(measured.fold).tolist():
        others, own = known.of_folds(partial(np.not_equal, fold)), measured.fold == fold
        slope, intercept = fit_logistic(others.judged.similarity, others.judged.right)
        scores[own] = sigmoid(slope * measured.judged.similarity[own] + intercept)
    found = _reliabilities(scores, measured.judged.right)
    own = stored.probability(measured.judged.similarity.astype(np.float32))
    found |= {f"stored_{name}": each for name, each in _reliabilities(own, measured.judged.right).items()}
    return {
        name: {"error": round(100 * each.error, 2), "candidates": int(each.count.sum()), "reliability": each.rows()}
        for name, each in found.items()
    }


def _reliabilities(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Reliability]:
    likely = scores >= LIKELY
    found = {"all": reliability(scores, right)}
    if likely.any():
        found["likely"] = reliability(scores[likely], right[likely])
    return found


def figures(decided: Decided) -> dict[str, Any]:
    """Return what is recorded of a rule on a set, in percent."""
    points = decided.curve
    best = points.best()
    at_40 = points.precision[points.recall >= 0.4]
    return {
        "written": _percent(decided.written),
        "written_reachable": _percent(decided.written_reachable),
        "macro": _percent(decided.macro),
        "best_shift": _percent(Scores(points.precision[best], points.recall[best], points.f1[best])),
        "recall_at_precision_70": round(100 * points.recall_at(0.7), 2),
        "precision_at_recall_40": round(100 * float(at_40.max()), 2) if len(at_40) else None,
        "curve": points.points(CURVE_POINTS),
        "candidates": len(decided.judged.score),
        "facts": len(decided.judged.fact_relation),
        "reachable": int(decided.judged.fact_reachable.sum()),
        "undecided": decided.judged.undecided,
    }


def _percent(found: Scores) -> dict[str, float]:
    return {name: round(100 * float(getattr(found, name)), 2) for name in ("precision", "recall", "f1")}
