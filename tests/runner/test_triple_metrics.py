from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from zsre.relations.errors import DataError
from zsre.runner.triple_metrics import Judged, curve, reliability

NOT_FOUND = float("nan")


def _judged(
    triples: list[tuple[float, int, bool]], facts: list[tuple[int, float]], reachable: list[bool] | None = None
) -> Judged:
    """Triples as score, relation, right; facts as relation and the score they are found at."""
    return Judged(
        score=np.array([score for score, _, _ in triples]),
        similarity=np.array([score for score, _, _ in triples]),
        relation=np.array([relation for _, relation, _ in triples], dtype=np.int64),
        right=np.array([right for _, _, right in triples], dtype=np.bool_),
        fact_relation=np.array([relation for relation, _ in facts], dtype=np.int64),
        fact_score=np.array([score for _, score in facts]),
        fact_reachable=np.array(reachable or [True] * len(facts), dtype=np.bool_),
    )


class TestCounts:
    def test_thresholds_are_the_relations_own(self) -> None:
        judged = _judged([(0.9, 0, True), (0.4, 0, False), (0.4, 1, True), (0.2, 1, True)], [(0, 0.9), (1, 0.4)])
        counted = judged.above(np.array([0.5, 0.3]))
        assert counted.written.tolist() == [1, 1]
        assert counted.right.tolist() == [1, 1]
        assert counted.found.tolist() == [1, 1]

    def test_micro_weighs_triples_and_macro_relations(self) -> None:
        triples = [(0.9, 0, True), (0.9, 0, True), (0.9, 0, True), (0.9, 1, False)]
        counted = _judged(triples, [(0, 0.9), (0, 0.9), (0, 0.9), (1, NOT_FOUND)]).above(np.full(2, 0.5))
        assert (counted.micro.precision, counted.micro.recall) == (0.75, 0.75)
        assert (counted.macro.precision, counted.macro.recall, counted.macro.f1) == (0.5, 0.5, 0.5)

    def test_a_relation_that_nothing_is_written_for_has_no_precision(self) -> None:
        counted = _judged([(0.9, 0, True)], [(0, 0.9), (1, NOT_FOUND)]).above(np.full(3, 0.5))
        assert counted.macro.precision == 1.0
        assert counted.macro.recall == 0.5
        assert counted.macro.f1 == 0.5

    def test_a_fact_out_of_reach_is_missed_all_the_same(self) -> None:
        counted = _judged([(0.9, 0, True)], [(0, 0.9), (0, NOT_FOUND)], [True, False]).above(np.full(1, 0.5))
        assert counted.micro.recall == 0.5
        assert counted.micro_reachable.recall == 1.0

    def test_two_triples_of_one_fact_are_both_right_and_find_it_once(self) -> None:
        counted = _judged([(0.9, 0, True), (0.8, 0, True)], [(0, 0.9)]).above(np.full(1, 0.5))
        assert (counted.micro.precision, counted.micro.recall) == (1.0, 1.0)

    def test_nothing_written(self) -> None:
        micro = _judged([], [(0, NOT_FOUND)]).above(np.full(1, 0.5)).micro
        assert (micro.precision, micro.recall, micro.f1) == (0.0, 0.0, 0.0)


class TestCurve:
    def test_is_that_of_scikit_learn_where_each_triple_is_a_fact(self) -> None:
        generator = np.random.default_rng(0)
        score, right = np.round(generator.random(200), 2), generator.random(200) < 0.3
        judged = _judged(
            [(float(one), 0, bool(is_right)) for one, is_right in zip(score, right, strict=True)],
            [(0, float(one)) for one in score[right]],
        )
        found = curve(judged)
        precision, recall, threshold = precision_recall_curve(right, score)
        assert found.threshold == pytest.approx(threshold[::-1])
        assert found.precision == pytest.approx(precision[:-1][::-1])
        assert found.recall == pytest.approx(recall[:-1][::-1])

    def test_agrees_with_the_counts_at_each_threshold(self) -> None:
        judged = _judged([(0.9, 0, True), (0.7, 0, True), (0.7, 1, False)], [(0, 0.9), (1, NOT_FOUND)])
        found = curve(judged)
        for threshold, f1 in zip(found.threshold, found.f1, strict=True):
            assert judged.above(np.full(2, threshold)).micro.f1 == pytest.approx(f1)
        assert found.threshold[found.best()] == 0.9

    def test_recall_at_a_precision(self) -> None:
        judged = _judged([(0.9, 0, True), (0.8, 0, False), (0.7, 0, True)], [(0, 0.9), (0, 0.7), (0, NOT_FOUND)])
        found = curve(judged)
        assert found.recall_at(1.0) == pytest.approx(1 / 3)
        assert found.recall_at(0.6) == pytest.approx(2 / 3)
        assert curve(_judged([(0.9, 0, False)], [(0, NOT_FOUND)])).recall_at(0.5) == 0.0

    def test_without_triples_it_is_empty(self) -> None:
        assert len(curve(_judged([], [])).threshold) == 0


class TestReliability:
    def test_bins_that_hold_something(self) -> None:
        found = reliability(np.array([0.05, 0.95, 1.0, 0.9]), np.array([False, True, True, False]), bins=10)
        assert found.count.tolist() == [1, 3]
        assert found.mean_score == pytest.approx([0.05, 0.95])
        assert found.share_right == pytest.approx([0.0, 2 / 3])
        assert found.error == pytest.approx((0.05 + 3 * (0.95 - 2 / 3)) / 4)

    def test_nothing_to_measure(self) -> None:
        with pytest.raises(DataError, match="no score"):
            reliability(np.zeros(0), np.zeros(0, dtype=np.bool_))
