"""Figures of extracted triples against labelled text: precision, recall, their curve, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from zsre.relations.metrics import Scores, expected_calibration_error, precision_recall_f1


@dataclass(frozen=True)
class Judged:
    """Triples that could have been written and the facts that there are, of N triples and F facts.

    Of triples that nobody decided on there are only ``undecided`` many; they are no part of the arrays. ``score`` (N,)
    and ``similarity`` (N,) are the triples', ``relation`` (N,) their relations' places in the file, ``right`` (N,)
    whether the text states them. ``fact_relation`` (F,) are the facts' relations; ``fact_reachable`` (F,) marks those
    whose two arguments were mentions of one sentence. ``states`` (K, 2) says which triple states which fact. ``text``
    (N,) and ``fact_text`` (F,) number the texts.
    """

    score: NDArray[np.float64]
    similarity: NDArray[np.float64]
    relation: NDArray[np.int64]
    right: NDArray[np.bool_]
    text: NDArray[np.int64]
    fact_relation: NDArray[np.int64]
    fact_reachable: NDArray[np.bool_]
    fact_text: NDArray[np.int64]
    states: NDArray[np.int64]
    undecided: int = 0

    @property
    def fact_score(self) -> NDArray[np.float64]:
        """Return (F,): the best score of a triple that states each fact, NaN where there is none."""
        best = np.full(len(self.fact_relation), np.nan)
        np.fmax.at(best, self.states[:, 1], self.score[self.states[:, 0]])
        return best

    def above(self, thresholds: NDArray[np.float64]) -> Counted:
        """Count what the thresholds (R,) on the score let through."""
        written = self.score >= thresholds[self.relation]
        found = np.zeros(len(self.fact_relation), dtype=np.bool_)
        found[self.states[written[self.states[:, 0]], 1]] = True
        sizes = len(thresholds)
        return Counted(
            written=np.bincount(self.relation[written], minlength=sizes),
            right=np.bincount(self.relation[written & self.right], minlength=sizes),
            found=np.bincount(self.fact_relation[found], minlength=sizes),
            facts=np.bincount(self.fact_relation, minlength=sizes),
            reachable=np.bincount(self.fact_relation[self.fact_reachable], minlength=sizes),
        )

    def of_texts(self, chosen: NDArray[np.bool_]) -> Judged:
        """Return what came of the texts that ``chosen`` marks, by their numbers."""
        return self.select(chosen[self.text], chosen[self.fact_text])

    def select(self, rows: NDArray[np.bool_], facts: NDArray[np.bool_]) -> Judged:
        """Return some of the triples (N,) and facts (F,); what states a fact that is left out states nothing."""
        row_place, fact_place = (np.cumsum(kept) - 1 for kept in (rows, facts))
        states = self.states[rows[self.states[:, 0]] & facts[self.states[:, 1]]]
        return replace(
            self,
            score=self.score[rows],
            similarity=self.similarity[rows],
            relation=self.relation[rows],
            right=self.right[rows],
            text=self.text[rows],
            fact_relation=self.fact_relation[facts],
            fact_reachable=self.fact_reachable[facts],
            fact_text=self.fact_text[facts],
            states=np.stack([row_place[states[:, 0]], fact_place[states[:, 1]]], 1),
        )


@dataclass(frozen=True)
class Counted:
    """Counts by relation, (R,) each: triples written and right, facts found, facts there are and within reach."""

    written: NDArray[np.int64]
    right: NDArray[np.int64]
    found: NDArray[np.int64]
    facts: NDArray[np.int64]
    reachable: NDArray[np.int64]

    @property
    def micro(self) -> Scores:
        """Precision of all triples, recall of all facts, and their harmonic mean."""
        return scores(self.written.sum(), self.right.sum(), self.found.sum(), self.facts.sum())

    @property
    def micro_reachable(self) -> Scores:
        """The same, with recall of the facts within reach."""
        return scores(self.written.sum(), self.right.sum(), self.found.sum(), self.reachable.sum())

    def __add__(self, other: Counted) -> Counted:
        """Add the counts of other texts."""
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return Counted(*(one + two for one, two in pairs))

    @property
    def macro(self) -> Scores:
        """Means over relations: precision of those written at all, recall of those with facts, F1 of either kind."""
        each = [scores(*row) for row in zip(self.written, self.right, self.found, self.facts, strict=True)]
        written, stated = self.written > 0, self.facts > 0
        return Scores(
            precision=_mean([one.precision for one, has in zip(each, written, strict=True) if has]),
            recall=_mean([one.recall for one, has in zip(each, stated, strict=True) if has]),
            f1=_mean([one.f1 for one, has in zip(each, written | stated, strict=True) if has]),
        )


@dataclass(frozen=True)
class Curve:
    """Precision and recall over a global threshold on the score, (K,) each, thresholds falling."""

    threshold: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 at each threshold."""
        total = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0)

    def best(self) -> int:
        """Return where F1 is highest; of equals, at the highest threshold."""
        return int(self.f1.argmax())

    def points(self, most: int) -> list[list[float]]:
        """Return threshold, precision and recall at points that are spread evenly over recall, for a log."""
        if not len(self.threshold):
            return []
        levels = np.linspace(self.recall[0], self.recall[-1], most)
        chosen = np.unique(np.searchsorted(self.recall, levels).clip(max=len(self.recall) - 1))
        columns = (self.threshold, self.precision, self.recall)
        return [[round(float(column[row]), 4) for column in columns] for row in chosen]

    def recall_at(self, precision: float) -> float:
        """Return the highest recall at which precision is at least so high; 0 if it never is."""
        reached = self.recall[self.precision >= precision]
        return float(reached.max()) if len(reached) else 0.0


def scores(written: int, right: int, found: int, facts: int) -> Scores:
    """Return precision of triples, recall of facts, and their harmonic mean; 0 where there is nothing to divide by.

    Several triples may state one fact, with mentions that overlap, so as many may be right as like.
    """
    precision = precision_recall_f1(right, written, written).precision
    recall = precision_recall_f1(found, facts, facts).recall
    total = precision + recall
    return Scores(precision, recall, 2 * precision * recall / total if total else 0.0)


def curve(judged: Judged) -> Curve:
    """Return the curve over all thresholds that tell two triples apart; empty without triples."""
    order = np.argsort(-judged.score, kind="stable")
    score, right = judged.score[order], judged.right[order]
    last = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, dtype=np.int64)
    threshold = score[last]
    fact_score = judged.fact_score
    found = np.sort(fact_score[~np.isnan(fact_score)])
    reached = len(found) - np.searchsorted(found, threshold, side="left")
    precision = np.cumsum(right)[last] / (last + 1)
    return Curve(threshold, precision, reached / max(1, len(fact_score)))


@dataclass(frozen=True)
class Reliability:
    """How far scores are from the share that is right: bins of equal width, those that hold something.

    ``mean_score``, ``share_right`` and ``count`` are (B,). ``error`` is the expected calibration error.
    """

    mean_score: NDArray[np.float64]
    share_right: NDArray[np.float64]
    count: NDArray[np.int64]
    error: float

    def rows(self) -> list[list[float]]:
        """Return mean score, share that is right, and count of each bin, for a log."""
        columns = zip(self.mean_score.tolist(), self.share_right.tolist(), self.count.tolist(), strict=True)
        return [[round(mean, 4), round(share, 4), count] for mean, share, count in columns]


def reliability(score: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15) -> Reliability:
    """Compare scores with outcomes; raise DataError if there are none."""
    error = expected_calibration_error(score, right, bins)
    place = np.minimum((score * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    sums = (np.bincount(place, weights=values, minlength=bins)[held] for values in (score, right))
    mean_score, share_right = (total / count[held] for total in sums)
    return Reliability(mean_score, share_right, count[held], error)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
