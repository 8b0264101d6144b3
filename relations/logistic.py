"""Logistic regression of one variable: from similarities and outcomes to probabilities (Platt, 1999)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Newton's method converges in under ten steps on whatever is not separable, and the prior sees to the rest.
_STEPS: Final = 50
_TOLERANCE: Final = 1e-10
#: Variance of the normal prior on the standardised slope: next to none, but enough where classes are separable.
_SLOPE_VARIANCE: Final = 100.0


def fit_logistic(values: ArrayLike, right: ArrayLike) -> tuple[float, float]:
    """Return slope and intercept of σ(slope · value + intercept) by maximum likelihood.

    ``values`` and ``right`` are (N,), with at least one outcome of each kind. A weak prior keeps the slope finite where
    one value parts the right from the wrong.
    """
    x: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    y: NDArray[np.float64] = np.asarray(right, dtype=np.float64)
    assert x.shape == y.shape and x.ndim == 1, "one outcome per value"
    assert 0 < y.sum() < len(y), "outcomes of both kinds"
    mean, scale = float(x.mean()), float(x.std()) or 1.0
    design = np.column_stack([(x - mean) / scale, np.ones_like(x)])
    prior = np.array([1 / _SLOPE_VARIANCE, 0.0])
    share = float(y.mean())
    weights = np.array([0.0, np.log(share / (1 - share))])
    for _ in range(_STEPS):
        p = sigmoid(design @ weights)
        gradient = design.T @ (y - p) - prior * weights
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(prior)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if float(np.abs(step).max()) < _TOLERANCE:
            break
    slope = float(weights[0]) / scale
    return slope, float(weights[1]) - slope * mean


def fit_offset(logits: ArrayLike, right: ArrayLike, variance: float) -> float:
    """Return b of σ(logit + b) for outcomes of one kind of thing, under a normal prior on b of mean 0.

    With few outcomes b stays near 0, and every outcome counts: there is no number from which on a group is trusted.
    """
    x: NDArray[np.float64] = np.asarray(logits, dtype=np.float64)
    y: NDArray[np.float64] = np.asarray(right, dtype=np.float64)
    offset = 0.0
    for _ in range(_STEPS):
        p = sigmoid(x + offset)
        step = (float((y - p).sum()) - offset / variance) / (float((p * (1 - p)).sum()) + 1 / variance)
        # A Newton step from far off the mark overshoots.
        step = min(1.0, max(-1.0, step))
        offset += step
        if abs(step) < _TOLERANCE:
            break
    return offset


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + e^−x), without overflow."""
    found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits, -60, 60)))
    return found
