"""Fitting scores and thresholds to someone's own labelled text.

Two curves are fitted to the same candidates. One turns similarities into scores. The other has an offset for each
relation, held near zero by a prior so that a handful of labels already helps, and says how likely a triple of this
relation is to be right. What is written is what is likely enough, and that comes to a threshold on each relation's
score.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Context
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsre.relations.errors import DataError
from zsre.relations.logistic import GroupedLogistic, fit_grouped, fit_logistic, sigmoid
from zsre.relations.metrics import expected_calibration_error
from zsre.runner.triple_metrics import Counted, Judged

#: Right and wrong candidates that there must be, of either: with fewer, a curve says nothing.
LEAST_LABELS: Final = 10
#: Variance of the prior on a relation's offset, in logits: that it is e times as likely right is nothing unusual.
OFFSET_VARIANCE: Final = 1.0
#: What no threshold is below: 0 would let everything through.
_LEAST: Final = 1e-9
_DIGITS: Final = Context(prec=6, rounding=ROUND_FLOOR)
#: Folds of texts that figures are cross-validated with.
FOLDS: Final = 5


@dataclass(frozen=True)
class Fitted:
    """Score = σ(slope · similarity + intercept), and how likely candidates of each relation are to be right.

    ``cut`` is the least likelihood at which a triple is written.
    """

    slope: float
    intercept: float
    by_relation: GroupedLogistic
    cut: float

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Return the least scores (R,) at which the relations' triples are written.

        As a relations file has them, to six digits that count: rounded down, as a cut is the likelihood of a candidate
        that is to be written.
        """
        own = self.by_relation
        similarity = (_logit(self.cut) - own.intercept - own.offsets) / own.slope
        scores = np.maximum(sigmoid(self.slope * similarity + self.intercept), _LEAST)
        return np.asarray([float(_DIGITS.create_decimal_from_float(score)) for score in scores.tolist()])

    def rescored(self, judged: Judged) -> Judged:
        """Return candidates with the scores that this calibration gives them."""
        return replace(judged, score=sigmoid(self.slope * judged.similarity + self.intercept))

    def likelihoods(self, judged: Judged) -> NDArray[np.float64]:
        """Return how likely (N,) candidates are to be right."""
        own = self.by_relation
        return sigmoid(own.slope * judged.similarity + own.intercept + own.offsets[judged.relation])


@dataclass(frozen=True)
class CrossValidated:
    """Figures of texts that nothing was fitted to: each fold of texts is measured with what the others gave.

    ``error`` is the expected calibration error of the scores, ``error_before`` that of the model's own; ``counted``
    is what is written.
    """

    error: float
    error_before: float
    counted: Counted


def fit(judged: Judged, relations: int, least: float, target_precision: float | None) -> Fitted:
    """Fit a calibration to all candidates, whatever their score.

    Written is what is right with a likelihood of ``least``, or, for a ``target_precision``, so much that this share
    of it can be expected to be right. Raises DataError if there are too few labels, if they contradict the model, or
    if the target is out of reach.
    """
    right, wrong = int(judged.right.sum()), int((~judged.right).sum())
    if min(right, wrong) < LEAST_LABELS:
        raise DataError(
            f"{right:,} right and {wrong:,} wrong candidates are too few to fit anything to: label more texts, until "
            f"there are {LEAST_LABELS} of either; a candidate is a pair of mentions and a relation that its types "
            "allow, and counts if the labels decide on it"
        )
    fitted = _fit_curves(judged, relations, least)
    if target_precision is None:
        return fitted
    likelihoods = fitted.likelihoods(judged)
    cut = _cut(likelihoods, target_precision)
    if cut is None:
        raise DataError(
            f"--target-precision {target_precision}: no candidate is that likely to be right, the likeliest "
            f"{likelihoods.max():.2f}: give a lower target, label more, or improve descriptions and types"
        )
    return replace(fitted, cut=cut)


def cross_validate(
    judged: Judged,
    relations: int,
    texts: Sequence[Hashable],
    least: float,
    target_precision: float | None,
    seed: int,
    written: Callable[[Fitted], Judged],
) -> CrossValidated:
    """Measure what fitting to texts like these does for others like them.

    ``written`` gives the triples that extraction writes of all texts with what was fitted. Those of the ``texts`` (by
    number) that are equal, as a sentence is that was judged for several triples, are in one fold. Raises DataError
    where a fold leaves nothing to fit to.
    """
    number_of = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    fold_of = np.random.default_rng(seed).permutation(len(number_of)) % FOLDS
    fold = fold_of[[number_of[text] for text in texts]]
    scores, right, counted = [], [], []
    for number in range(FOLDS):
        fitted = _fit_others(judged.of_texts(fold != number), relations, least, target_precision)
        held_out = fitted.rescored(judged.of_texts(fold == number))
        scores.append(held_out.score)
        right.append(held_out.right)
        counted.append(written(fitted).of_texts(fold == number).above(np.zeros(relations)))
    return CrossValidated(
        error=expected_calibration_error(np.concatenate(scores), np.concatenate(right)),
        error_before=expected_calibration_error(judged.score, judged.right),
        counted=sum(counted[1:], counted[0]),
    )


def _fit_others(judged: Judged, relations: int, least: float, target_precision: float | None) -> Fitted:
    """Fit to the four other fifths as `fit` does, but to however few labels these hold.

    Where they put the target out of reach, nothing is written of the fifth that is measured.
    """
    if judged.right.all() or not judged.right.any():
        kind = "wrong" if judged.right.any() else "right"
        raise DataError(
            f"a single fifth of the texts holds every {kind} candidate, so the others say nothing of it: label more "
            "texts"
        )
    try:
        fitted = _fit_curves(judged, relations, least)
    except DataError as error:
        raise DataError(
            "without a fifth of the texts, candidates that match better are no more often right, so the labels are too "
            "few to say what a calibration would be worth: label more texts"
        ) from error
    if target_precision is None:
        return fitted
    cut = _cut(fitted.likelihoods(judged), target_precision)
    return replace(fitted, cut=1.0 if cut is None else cut)


def _fit_curves(judged: Judged, relations: int, least: float) -> Fitted:
    """Fit both curves; raise DataError if the labels contradict the model."""
    slope, intercept = fit_logistic(judged.similarity, judged.right)
    by_relation = fit_grouped(judged.similarity, judged.right, judged.relation, relations, OFFSET_VARIANCE)
    if min(slope, by_relation.slope) <= 0:
        raise DataError(
            "candidates that match better are no more often right: check that the labels mean the relations that the "
            "relations file describes, and that heads and tails are the right way round"
        )
    return Fitted(slope, intercept, by_relation, least)


def _cut(likelihoods: NDArray[np.float64], precision: float) -> float | None:
    """Return the least likelihood from which on so many are right on average, or None if there is none."""
    ranked = np.sort(likelihoods)[::-1]
    means = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    # Equals are written together or not at all.
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    reached = np.flatnonzero(last_of_equals & (means >= precision))
    return float(ranked[reached[-1]]) if len(reached) else None


def _logit(probability: float) -> float:
    clipped = min(max(probability, _LEAST), 1 - _LEAST)
    return float(np.log(clipped / (1 - clipped)))
