"""Scores and thresholds from labels: what is known of made candidates must come out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from zsre.relations.errors import DataError
from zsre.relations.logistic import GroupedLogistic, sigmoid
from zsre.relations.metrics import expected_calibration_error
from zsre.runner.calibrate import LEAST_LABELS, CrossValidated, Fitted, cross_validate, fit
from zsre.runner.triple_metrics import Judged

SLOPE, INTERCEPT, OFFSETS = 12.0, -6.0, np.array([0.0, 1.5, -1.5])


def _candidates(count: int, seed: int = 0) -> Judged:
    """Candidates of three relations that are right as often as the logistic curve and their relation's offset say."""
    random = np.random.default_rng(seed)
    similarity, relation = random.uniform(0, 1, count), random.integers(0, 3, count)
    right = random.random(count) < sigmoid(SLOPE * similarity + INTERCEPT + OFFSETS[relation])
    facts = np.flatnonzero(right)
    return Judged(
        score=sigmoid(3 * similarity),
        similarity=similarity,
        relation=relation,
        right=right,
        text=np.arange(count) // 10,
        fact_relation=relation[facts],
        fact_reachable=np.ones(len(facts), dtype=np.bool_),
        fact_text=facts // 10,
        states=np.stack([facts, np.arange(len(facts))], 1),
    )


def _few(right: int) -> Judged:
    """A candidate each of a hundred texts, of which every tenth is right, up to so many; those match a bit better."""
    places = np.arange(100)
    found = (places % 10 == 0) & (places < 10 * right)
    facts = np.flatnonzero(found)
    return Judged(
        score=np.full(100, 0.5),
        similarity=np.random.default_rng(3).uniform(0, 1, 100) + 0.4 * found,
        relation=places % 3,
        right=found,
        text=places,
        fact_relation=facts % 3,
        fact_reachable=np.ones(len(facts), dtype=np.bool_),
        fact_text=facts,
        states=np.stack([facts, np.arange(len(facts))], 1),
    )


def cross_validated(
    judged: Judged, relations: int, texts: Sequence[Hashable], least: float, target: float | None, seed: int
) -> CrossValidated:
    """Cross-validate where every candidate above its threshold is written."""

    def written(fitted: Fitted) -> Judged:
        found = fitted.rescored(judged)
        above = found.score >= fitted.thresholds[found.relation]
        return found.select(above, np.ones(len(found.fact_relation), dtype=np.bool_))

    return cross_validate(judged, relations, texts, least, target, seed, written)


def test_candidates_are_as_often_right_as_they_are_likely_to_be() -> None:
    judged = _candidates(30_000)
    fitted = fit(judged, 3, 0.5, None)
    likelihoods, scores = fitted.likelihoods(judged), fitted.rescored(judged).score
    assert expected_calibration_error(scores, judged.right) < 0.02
    for relation in range(3):
        own = judged.relation == relation
        assert expected_calibration_error(likelihoods[own], judged.right[own]) < 0.02
        assert relation == 0 or expected_calibration_error(scores[own], judged.right[own]) > 0.05


def test_thresholds_let_through_what_is_likely_enough() -> None:
    judged = _candidates(5_000)
    fitted = fit(judged, 3, 0.7, None)
    assert fitted.cut == 0.7
    written = fitted.rescored(judged).score >= fitted.thresholds[judged.relation]
    np.testing.assert_array_equal(written, fitted.likelihoods(judged) >= 0.7)
    assert fitted.thresholds[1] < fitted.thresholds[0] < fitted.thresholds[2], "the oftener right, the lower"


def test_thresholds_have_six_digits_that_count_however_small_they_are() -> None:
    """A steep curve's likely candidates may all score next to nothing, and 0 would let everything through."""
    by_relation = GroupedLogistic(1.0, 0.0, np.array([0.0, -0.5]))
    found = Fitted(slope=40.0, intercept=-12.3456, by_relation=by_relation, cut=0.5).thresholds
    exact = 1 / (1 + np.exp(-(40.0 * np.array([0.0, 0.5]) - 12.3456)))
    assert [float(f"{own:.5e}") for own in found] == found.tolist()
    assert (found <= exact).all() and (found > exact * (1 - 1e-5)).all()
    assert Fitted(slope=4000.0, intercept=-2000.0, by_relation=by_relation, cut=0.5).thresholds[0] > 0


@pytest.mark.parametrize("target", [0.6, 0.8, 0.9])
def test_a_target_precision_is_met_on_other_text(target: float) -> None:
    fitted = fit(_candidates(20_000), 3, 0.5, target)
    other = fitted.rescored(_candidates(20_000, seed=1))
    found = other.above(fitted.thresholds).micro
    assert found.precision == pytest.approx(target, abs=0.02)
    looser = replace(fitted, cut=fitted.cut - 0.1)
    assert other.above(looser.thresholds).micro.precision < target < 1.0


def test_a_relation_without_labels_gets_what_the_others_gave() -> None:
    fitted = fit(_candidates(2_000), 4, 0.5, None)
    assert fitted.by_relation.offsets[3] == 0.0
    low, _, high = sorted(fitted.thresholds[:3])
    assert low < fitted.thresholds[3] < high


def test_a_few_labels_of_a_relation_move_its_threshold_a_little() -> None:
    many = _candidates(5_000)
    rare = np.flatnonzero((many.relation == 2) & many.right)[:3]
    kept = (many.relation != 2) | np.isin(np.arange(len(many.right)), rare)
    few = many.of_texts(np.ones(500, dtype=np.bool_))
    few = replace(
        few,
        **{name: getattr(few, name)[kept] for name in ("score", "similarity", "relation", "right", "text")},
        states=np.zeros((0, 2), dtype=np.int64),
    )
    assert 0 < fit(few, 3, 0.5, None).by_relation.offsets[2] < 2


def test_figures_are_of_texts_that_were_not_fitted_to() -> None:
    judged = _candidates(5_000)
    found = cross_validated(judged, 3, range(500), 0.5, None, seed=13)
    assert found.error < 0.03 < found.error_before
    own = fit(judged, 3, 0.5, None)
    whole = own.rescored(judged).above(own.thresholds)
    assert found.counted.facts.tolist() == whole.facts.tolist(), "every text is measured once"
    assert found.counted.micro.f1 == pytest.approx(whole.micro.f1, abs=0.02)
    again = cross_validated(judged, 3, range(500), 0.5, None, seed=13)
    assert again.counted.micro == found.counted.micro


def test_what_is_peculiar_to_a_text_is_no_help_with_others() -> None:
    """Each text has a relation of its own, so what was learned of it must not show in the figures."""
    judged = replace(_candidates(3_000), relation=np.arange(3_000) // 10)
    right = np.random.default_rng(5).random(3_000) < 0.4 + 0.2 * judged.similarity
    peculiar = replace(judged, right=right, fact_relation=judged.fact_text)
    own = fit(peculiar, 300, 0.6, None)
    same = own.rescored(peculiar).above(own.thresholds).micro.precision
    assert cross_validated(peculiar, 300, range(300), 0.6, None, seed=1).counted.micro.precision < same - 0.1


def test_a_text_that_occurs_again_is_no_other_text() -> None:
    """What is peculiar to a text helps with none but itself, so it must not be learned of its copies."""
    judged = replace(_candidates(3_000), relation=np.arange(3_000) // 20)
    right = np.random.default_rng(5).random(150)[judged.relation] < 0.2 + 0.6 * judged.similarity
    copied = replace(judged, right=right, fact_relation=judged.relation[np.flatnonzero(_candidates(3_000).right)])

    def precision(texts: list[int]) -> float:
        return cross_validated(copied, 150, texts, 0.6, None, seed=1).counted.micro.precision

    assert precision([number // 2 for number in range(300)]) < precision(list(range(300))) - 0.1


def test_enough_labels_to_fit_to_are_enough_to_measure_with() -> None:
    judged = _few(right=LEAST_LABELS)
    fit(judged, 3, 0.5, None)
    found = cross_validated(judged, 3, range(100), 0.5, None, seed=13)
    assert found.counted.facts.sum() == LEAST_LABELS


def test_what_stands_in_a_single_fold_cannot_be_measured() -> None:
    judged = _few(right=LEAST_LABELS)
    with pytest.raises(DataError, match=r"^a single fifth of the texts holds every right candidate"):
        cross_validated(judged, 3, ["a" if place % 10 == 0 else place for place in range(100)], 0.5, None, seed=13)


def test_what_a_single_fold_bears_out_cannot_be_measured() -> None:
    """All that says that the better match is right is in one text and its copies."""
    judged = _few(right=LEAST_LABELS)
    plain = np.arange(100) >= 50
    judged = replace(judged, similarity=np.where(plain, -1.0 * judged.right, 5.0 * judged.right))
    fit(judged, 3, 0.5, None)
    with pytest.raises(DataError, match=r"^without a fifth of the texts, candidates that match better are no more oft"):
        cross_validated(judged, 3, [place if place >= 50 else "a" for place in range(100)], 0.5, None, seed=13)


def test_a_target_that_four_fifths_cannot_reach_lets_nothing_through() -> None:
    judged = _few(right=LEAST_LABELS)
    target = float(fit(judged, 3, 0.5, None).likelihoods(judged).max()) - 0.001
    fit(judged, 3, 0.5, target)
    found = cross_validated(judged, 3, range(100), 0.5, target, seed=13)
    assert found.counted.facts.sum() == LEAST_LABELS, "every text is measured, also those of which nothing is written"


@pytest.mark.parametrize("right", [True, False])
def test_too_few_labels(right: bool) -> None:
    judged = _candidates(200)
    outcomes = np.full(200, right)
    outcomes[: LEAST_LABELS - 1] = not right
    with pytest.raises(DataError, match=r"^\d+ right and \d+ wrong candidates are too few to fit anything to"):
        fit(replace(judged, right=outcomes), 3, 0.5, None)


def test_labels_that_contradict_the_model() -> None:
    judged = _candidates(500)
    with pytest.raises(DataError, match="match better are no more often right: check that the labels mean"):
        fit(replace(judged, right=~judged.right), 3, 0.5, None)


def test_equals_are_written_together_or_not_at_all() -> None:
    judged = _candidates(2_000)
    high = judged.similarity > 0.5
    steps = replace(judged, similarity=high * 1.0, right=np.where(high, np.arange(2_000) % 10 > 0, False))
    fitted = fit(replace(steps, relation=np.zeros(2_000, dtype=np.int64)), 1, 0.5, 0.85)
    written = fitted.rescored(steps).score >= fitted.thresholds[0]
    np.testing.assert_array_equal(written, high)


def test_a_target_out_of_reach() -> None:
    judged = _candidates(2_000)
    unsure = replace(judged, right=np.random.default_rng(9).random(2_000) < judged.similarity / 2)
    with pytest.raises(
        DataError, match=r"^--target-precision 0.99: no candidate is that likely to be right, the l"
    ) as told:
        fit(unsure, 3, 0.5, 0.99)
    assert "give a lower target, label more, or improve" in str(told.value)


def test_a_calibration_scores_as_extraction_does() -> None:
    fitted = Fitted(10.0, -5.0, GroupedLogistic(9.0, -4.0, np.zeros(3)), 0.5)
    judged = _candidates(20)
    np.testing.assert_allclose(fitted.rescored(judged).score, sigmoid(10.0 * judged.similarity - 5.0))
