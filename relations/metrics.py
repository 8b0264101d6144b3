"""The figures that results are reported in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zsre.relations.errors import DataError

#: From this score on, calibration is looked at once more: next to all candidates are far below, and easily told.
LIKELY: Final = 0.1
#: 95 % of a normal distribution lie within so many standard deviations of its mean.
_NORMAL_95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Scores:
    """Precision, recall and their harmonic mean, each in [0, 1]; 0 where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class RelationScores(Scores):
    """The scores of one relation; ``support`` counts the instances that truly have it."""

    support: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """One relation taken for another: ``count`` instances of ``stated`` were ``given`` a wrong relation.

    ``share``, in (0, 1], is that count over all the instances that state it.
    """

    stated: str
    given: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Confusable:
    """Two relations taken for each other, in the order of their ids, and how often either way.

    ``share``, in (0, 1], is both counts over the instances that state either: how badly the two are told apart,
    whichever of them draws the other's instances, and without the instances of a rare one weighing more.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    share: float

    @property
    def count(self) -> int:
        """Return how many instances of either were taken for the other."""
        return self.first_as_second + self.second_as_first


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """How well single labels were predicted.

    The ``paper_`` figures are those of the zero-shot literature: precision averaged over the classes that were
    predicted at all, recall averaged over the classes that occur in gold, and the harmonic mean of these two
    averages. ``macro_f1`` is the mean of the F1 of every class that occurs in gold or prediction, which is what
    scikit-learn's ``f1_score(average="macro", zero_division=0)`` gives; it reads lower.

    ``relations`` holds every class in gold or prediction, sorted by id. ``confusion`` counts (gold, predicted).
    """

    accuracy: float
    paper_precision: float
    paper_recall: float
    paper_f1: float
    macro_f1: float
    relations: Mapping[str, RelationScores]
    confusion: Mapping[tuple[str, str], int]


def classification_report(gold: Sequence[str], predicted: Sequence[str]) -> ClassificationReport:
    """Compare one predicted label with one gold label per instance; raise ``DataError`` if there are none."""
    assert len(gold) == len(predicted), "one prediction per instance"
    if not gold:
        raise DataError("there is no labelled instance to measure; check that the data holds the relations tested")
    confusion = Counter(zip(gold, predicted, strict=True))
    supports, guesses = Counter(gold), Counter(predicted)
    relations = {}
    for label in sorted(supports | guesses):
        scores = precision_recall_f1(confusion[label, label], guesses[label], supports[label])
        relations[label] = RelationScores(scores.precision, scores.recall, scores.f1, supports[label])
    paper_precision = float(np.mean([relations[label].precision for label in guesses]))
    paper_recall = float(np.mean([relations[label].recall for label in supports]))
    return ClassificationReport(
        accuracy=sum(confusion[label, label] for label in supports) / len(gold),
        paper_precision=paper_precision,
        paper_recall=paper_recall,
        paper_f1=_harmonic_mean(paper_precision, paper_recall),
        macro_f1=float(np.mean([scores.f1 for scores in relations.values()])),
        relations=relations,
        confusion=dict(sorted((cell, count) for cell, count in confusion.items() if count)),
    )


def confusion_pairs(report: ClassificationReport) -> list[Confusion]:
    """Return each relation that was taken for another, the most frequent confusion first."""
    found = [
        Confusion(stated, given, count, count / report.relations[stated].support)
        for (stated, given), count in report.confusion.items()
        if stated != given
    ]
    return sorted(found, key=lambda each: (-each.count, -each.share, each.stated, each.given))


def confusable_relations(report: ClassificationReport) -> list[Confusable]:
    """Return the pairs of relations that were taken for each other, the least told apart first."""
    found = []
    for first, second in {(min(cell), max(cell)) for cell in report.confusion if cell[0] != cell[1]}:
        there, back = report.confusion.get((first, second), 0), report.confusion.get((second, first), 0)
        support = report.relations[first].support + report.relations[second].support
        found.append(Confusable(first, second, there, back, (there + back) / support))
    return sorted(found, key=lambda each: (-each.share, -each.count, each.first, each.second))


def precision_recall_f1(true_positive: int, predicted: int, gold: int) -> Scores:
    """Return micro scores from counts: ``true_positive`` of ``predicted`` are right, and of ``gold`` were found."""
    assert 0 <= true_positive <= min(predicted, gold), "no more can be right than were predicted or exist"
    precision = true_positive / predicted if predicted else 0.0
    recall = true_positive / gold if gold else 0.0
    return Scores(precision, recall, _harmonic_mean(precision, recall))


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the share that ``right`` of ``count`` are of many more (Wilson, 1927).

    Both ends lie in [0, 1], also where all or none are right. ``count`` is at least 1.
    """
    assert 0 <= right <= count and count > 0, "no more can be right than there are"
    share, spread = right / count, _NORMAL_95**2 / count
    middle = share + spread / 2
    reach = math.sqrt(spread * (share * (1 - share) + spread / 4))
    # The share lies in it, and rounding must not say otherwise.
    low, high = (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def expected_calibration_error(probabilities: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Return how far probabilities are from the share that was right, on average, in [0, 1].

    Probabilities in [0, 1] fall into ``bins`` bins of equal width, each closed on the left and the last on both
    sides. Bins weigh as much as they hold. Raises ``DataError`` if there is no probability.
    """
    p: NDArray[np.float64] = np.asarray(probabilities, dtype=np.float64)
    right: NDArray[np.float64] = np.asarray(correct, dtype=np.float64)
    assert p.shape == right.shape and p.ndim == 1 and bins > 0, "one outcome per probability"
    if not p.size:
        raise DataError("there is no score to measure the calibration of; check that anything was predicted")
    assert bool(((p >= 0) & (p <= 1)).all()), "probabilities lie in [0, 1]"
    bin_of = np.minimum((p * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(bin_of, weights=p - right, minlength=bins)
    return float(np.abs(gaps).sum() / p.size)


def _harmonic_mean(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0
