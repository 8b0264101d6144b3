from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from zsre.relations.logistic import fit_logistic, fit_offset, sigmoid

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


def test_values_that_are_all_the_same_say_the_share() -> None:
    slope, intercept = fit_logistic(np.full(10, 0.4), np.arange(10) < 3)
    assert sigmoid(np.array([slope * 0.4 + intercept])) == pytest.approx(0.3, abs=1e-6)


class TestOffset:
    def test_many_outcomes_outweigh_the_prior(self) -> None:
        logits = GENERATOR.normal(-1, 1, 20_000)
        right = GENERATOR.random(20_000) < sigmoid(logits + 1.5)
        assert fit_offset(logits, right, 1.0) == pytest.approx(1.5, abs=0.1)

    def test_few_outcomes_leave_it_near_nothing(self) -> None:
        assert 0 < fit_offset([-1.0], [True], 1.0) < 0.6
        assert fit_offset([], [], 1.0) == 0.0

    def test_is_where_likelihood_and_prior_balance(self) -> None:
        logits, right = np.array([3.0, 2.0, 5.0]), np.array([False, False, False])
        offset = fit_offset(logits, right, 4.0)
        assert (right - sigmoid(logits + offset)).sum() == pytest.approx(offset / 4.0)
        assert offset < -math.log(2)
