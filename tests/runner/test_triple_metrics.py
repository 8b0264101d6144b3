from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from zsre.relations.errors import DataError
from zsre.runner.triple_metrics import Judged, curve, reliability


def _judged(
    triples: list[tuple[float, int, bool]], facts: list[tuple[int, list[int]]], reachable: list[bool] | None = None
) -> Judged:
    """Triples as score, relation, right; facts as relation and the triples that state them. Each is a text."""
    return Judged(
        score=np.array([score for score, _, _ in triples]),
        similarity=np.array([score for score, _, _ in triples]),
        relation=np.array([relation for _, relation, _ in triples], dtype=np.int64),
        right=np.array([right for _, _, right in triples], dtype=np.bool_),
        text=np.arange(len(triples)),
        fact_relation=np.array([relation for relation, _ in facts], dtype=np.int64),
        fact_reachable=np.array(reachable or [True] * len(facts), dtype=np.bool_),
        fact_text=np.arange(len(facts)),
        states=np.array([(row, fact) for fact, (_, rows) in enumerate(facts) for row in rows], dtype=np.int64).reshape(
            -1, 2
        ),
    )


class TestCounts:
    def test_thresholds_are_the_relations_own(self) -> None:
        judged = _judged([(0.9, 0, True), (0.4, 0, False), (0.4, 1, True), (0.2, 1, True)], [(0, [0]), (1, [2, 3])])
        counted = judged.above(np.array([0.5, 0.3]))
        assert counted.written.tolist() == [1, 1]
        assert counted.right.tolist() == [1, 1]
        assert counted.found.tolist() == [1, 1]

    def test_micro_weighs_triples_and_macro_relations(self) -> None:
        triples = [(0.9, 0, True), (0.9, 0, True), (0.9, 0, True), (0.9, 1, False)]
        counted = _judged(triples, [(0, [0]), (0, [1]), (0, [2]), (1, [])]).above(np.full(2, 0.5))
        assert (counted.micro.precision, counted.micro.recall) == (0.75, 0.75)
        assert (counted.macro.precision, counted.macro.recall, counted.macro.f1) == (0.5, 0.5, 0.5)

    def test_a_relation_that_nothing_is_written_for_has_no_precision(self) -> None:
        counted = _judged([(0.9, 0, True)], [(0, [0]), (1, [])]).above(np.full(3, 0.5))
        assert counted.macro.precision == 1.0
        assert counted.macro.recall == 0.5
        assert counted.macro.f1 == 0.5

    def test_a_fact_out_of_reach_is_missed_all_the_same(self) -> None:
        counted = _judged([(0.9, 0, True)], [(0, [0]), (0, [])], [True, False]).above(np.full(1, 0.5))
        assert counted.micro.recall == 0.5
        assert counted.micro_reachable.recall == 1.0

    def test_two_triples_of_one_fact_are_both_right_and_find_it_once(self) -> None:
        counted = _judged([(0.9, 0, True), (0.8, 0, True)], [(0, [0, 1])]).above(np.full(1, 0.5))
        assert (counted.micro.precision, counted.micro.recall) == (1.0, 1.0)

    def test_a_fact_that_another_relation_states_the_other_way_round_is_found_by_its_threshold(self) -> None:
        judged = _judged([(0.5, 1, True)], [(0, [0])])
        assert judged.above(np.array([0.9, 0.4])).micro.recall == 1.0
        assert judged.above(np.array([0.4, 0.9])).micro.recall == 0.0

    def test_some_texts_and_the_others_add_up(self) -> None:
        triples = [(0.9, 0, True), (0.4, 1, False), (0.7, 1, True), (0.6, 0, True)]
        judged = _judged(triples, [(0, [0, 3]), (1, [2]), (1, []), (0, [3])])
        judged = replace(judged, text=np.array([0, 0, 1, 0]), fact_text=np.array([0, 1, 1, 0]))
        parts = [judged.of_texts(np.array(chosen)).above(np.full(2, 0.5)) for chosen in ([True, False], [False, True])]
        assert (parts[0].written.tolist(), parts[0].facts.tolist()) == ([2, 0], [2, 0])
        assert (parts[1].written.tolist(), parts[1].found.tolist()) == ([0, 1], [0, 1])
        both, whole = parts[0] + parts[1], judged.above(np.full(2, 0.5))
        assert (both.micro, both.macro) == (whole.micro, whole.macro)

    def test_nothing_written(self) -> None:
        micro = _judged([], [(0, [])]).above(np.full(1, 0.5)).micro
        assert (micro.precision, micro.recall, micro.f1) == (0.0, 0.0, 0.0)


class TestCurve:
    def test_is_that_of_scikit_learn_where_each_triple_is_a_fact(self) -> None:
        generator = np.random.default_rng(0)
        score, right = np.round(generator.random(200), 2), generator.random(200) < 0.3
        judged = _judged(
            [(float(one), 0, bool(is_right)) for one, is_right in zip(score, right, strict=True)],
            [(0, [int(row)]) for row in np.flatnonzero(right)],
        )
        found = curve(judged)
        precision, recall, threshold = precision_recall_curve(right, score)
        assert found.threshold == pytest.approx(threshold[::-1])
        assert found.precision == pytest.approx(precision[:-1][::-1])
        assert found.recall == pytest.approx(recall[:-1][::-1])

    def test_agrees_with_the_counts_at_each_threshold(self) -> None:
        judged = _judged([(0.9, 0, True), (0.7, 0, True), (0.7, 1, False)], [(0, [0, 1]), (1, [])])
        found = curve(judged)
        for threshold, f1 in zip(found.threshold, found.f1, strict=True):
            assert judged.above(np.full(2, threshold)).micro.f1 == pytest.approx(f1)
        assert found.threshold[found.best()] == 0.9

    def test_recall_at_a_precision(self) -> None:
        judged = _judged([(0.9, 0, True), (0.8, 0, False), (0.7, 0, True)], [(0, [0]), (0, [2]), (0, [])])
        found = curve(judged)
        assert found.recall_at(1.0) == pytest.approx(1 / 3)
        assert found.recall_at(0.6) == pytest.approx(2 / 3)
        assert curve(_judged([(0.9, 0, False)], [(0, [])])).recall_at(0.5) == 0.0

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
