from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from zsre.relations.logistic import fit_grouped, fit_logistic, sigmoid

GENERATOR = np.random.default_rng(0)


def _sample(slope: float, intercept: float, size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    values = GENERATOR.uniform(0, 1, size)
    return values, GENERATOR.random(size) < sigmoid(slope * values + intercept)


@pytest.mark.parametrize(("slope", "intercept"), [(12.0, -7.0), (20.0, -15.0), (-3.0, 1.0)])
def test_agrees_with_scikit_learn(slope: float, intercept: float) -> None:
    values, right = _sample(slope, intercept)
    reference = LogisticRegression(C=1e6, tol=1e-10, max_iter=10_000).fit(values[:, None], right)
    found = fit_logistic(values, right)
    assert found == pytest.approx((reference.coef_[0, 0], reference.intercept_[0]), rel=0.01)


def test_mean_probability_is_the_share_that_is_right() -> None:
    values, right = _sample(12.0, -9.0)
    slope, intercept = fit_logistic(values, right)
    assert sigmoid(slope * values + intercept).mean() == pytest.approx(right.mean(), abs=1e-6)


def test_separable_outcomes_have_a_finite_slope() -> None:
    values = np.linspace(0, 1, 50)
    slope, intercept = fit_logistic(values, values > 0.5)
    assert 0 < slope < 1e3
    assert sigmoid(np.array([slope * 0.5 + intercept])) == pytest.approx(0.5, abs=0.1)


def test_a_few_values_far_out_on_both_sides_are_fitted_to() -> None:
    """Whole steps of Newton's method run away on these."""
    values = np.array([0.0] * 90 + [5.0] * 5 + [-1.0] * 5)
    slope, intercept = fit_logistic(values, np.arange(100) >= 90)
    assert sigmoid(slope * values + intercept).mean() == pytest.approx(0.1, abs=1e-6)
    reference = LogisticRegression(C=100 * values.var(), tol=1e-10, max_iter=10_000)
    reference.fit(values[:, None], np.arange(100) >= 90)
    assert slope == pytest.approx(reference.coef_[0, 0], rel=0.01)


def test_values_that_are_all_the_same_say_the_share() -> None:
    slope, intercept = fit_logistic(np.full(10, 0.4), np.arange(10) < 3)
    assert sigmoid(np.array([slope * 0.4 + intercept])) == pytest.approx(0.3, abs=1e-6)


class TestGroups:
    def test_many_outcomes_outweigh_the_prior(self) -> None:
        values, group = GENERATOR.uniform(0, 1, 30_000), GENERATOR.integers(0, 3, 30_000)
        right = GENERATOR.random(30_000) < sigmoid(12 * values - 6 + np.array([0, 1.5, -1.5])[group])
        found = fit_grouped(values, right, group, 3, 1.0)
        assert found.slope == pytest.approx(12, rel=0.05)
        assert found.offsets - found.offsets[0] == pytest.approx([0, 1.5, -1.5], abs=0.15)

    def test_one_group_is_no_group(self) -> None:
        values, right = _sample(12.0, -7.0)
        found = fit_grouped(values, right, np.zeros(len(values)), 1, 1.0)
        slope, intercept = fit_logistic(values, right)
        assert (found.slope, found.intercept + found.offsets[0]) == pytest.approx((slope, intercept), rel=1e-3)

    def test_few_outcomes_leave_an_offset_near_nothing(self) -> None:
        values, right = _sample(12.0, -7.0)
        group = np.zeros(len(values))
        group[:2] = 1
        values[:2], right[:2] = 0.3, True
        found = fit_grouped(values, right, group, 3, 1.0)
        assert 0 < found.offsets[1] < 2.5
        assert found.offsets[2] == 0.0, "of this one there is nothing"

    def test_is_where_likelihood_and_prior_balance(self) -> None:
        values, right = _sample(5.0, -3.0, 300)
        group = np.arange(300) % 7
        found = fit_grouped(values, right, group, 7, 0.5)
        left = right - sigmoid(found.slope * values + found.intercept + found.offsets[group])
        assert np.bincount(group, left) == pytest.approx(found.offsets / 0.5, abs=1e-6)
        assert left.sum() == pytest.approx(0, abs=1e-6)

    def test_groups_of_one_outcome_alone_stay_finite(self) -> None:
        values, group = np.linspace(0, 1, 100), np.arange(100) // 50
        found = fit_grouped(values, group == 1, group, 2, 1.0)
        assert 0 < found.slope < 1e3 and np.abs(found.offsets).max() < 10
