"""Logistic regression of one variable: from similarities and outcomes to probabilities (Platt, 1999)."""

from __future__ import annotations

from dataclasses import dataclass
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

    def objective(weights: NDArray[np.float64]) -> float:
        logits = design @ weights
        return float((y * logits - np.logaddexp(0, logits)).sum() - (prior * weights**2).sum() / 2)

    for _ in range(_STEPS):
        p = sigmoid(design @ weights)
        gradient = design.T @ (y - p) - prior * weights
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(prior)
        step = np.linalg.solve(curvature, gradient)
        # A whole step may lead to where there is no curvature left; what is lost to rounding alone is no reason.
        least = objective(weights)
        least -= _TOLERANCE * (1 + abs(least))
        while objective(weights + step) < least:
            step = step / 2
        weights = weights + step
        if float(np.abs(step).max()) < _TOLERANCE:
            break
    slope = float(weights[0]) / scale
    return slope, float(weights[1]) - slope * mean


@dataclass(frozen=True)
class GroupedLogistic:
    """σ(slope · value + intercept + offset of the value's group), with offsets (G,)."""

    slope: float
    intercept: float
    offsets: NDArray[np.float64]


def fit_grouped(values: ArrayLike, right: ArrayLike, group: ArrayLike, groups: int, variance: float) -> GroupedLogistic:
    """Fit one curve with an offset for each group, under a normal prior on offsets of mean 0.

    ``values``, ``right`` and ``group`` are (N,). A group with few outcomes has an offset near 0, one with none has 0,
    and every outcome counts: there is no number from which on a group is trusted.
    """
    x: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    y: NDArray[np.float64] = np.asarray(right, dtype=np.float64)
    own: NDArray[np.int64] = np.asarray(group, dtype=np.int64)
    mean, scale = float(x.mean()), float(x.std()) or 1.0
    design = np.column_stack([(x - mean) / scale, np.ones_like(x)])
    prior = np.array([1 / _SLOPE_VARIANCE, 0.0])
    slope, intercept = fit_logistic(x, y)
    common, offsets = np.array([slope * scale, intercept + slope * mean]), np.zeros(groups)

    def objective(common: NDArray[np.float64], offsets: NDArray[np.float64]) -> float:
        logits = design @ common + offsets[own]
        fit = (y * logits - np.logaddexp(0, logits)).sum()
        return float(fit - (prior * common**2).sum() / 2 - (offsets**2).sum() / (2 * variance))

    for _ in range(_STEPS):
        p = sigmoid(design @ common + offsets[own])
        weight = p * (1 - p)
        # Newton's method; of the curvature, the block of the offsets is diagonal, so it is eliminated first.
        gradient = design.T @ (y - p) - prior * common
        offset_gradient = np.bincount(own, y - p, groups) - offsets / variance
        curvature = (design * weight[:, None]).T @ design + np.diag(prior)
        offset_curvature = np.bincount(own, weight, groups) + 1 / variance
        mixed = np.stack([np.bincount(own, weight * column, groups) for column in design.T])
        reduced = curvature - (mixed / offset_curvature) @ mixed.T
        step = np.linalg.solve(reduced, gradient - mixed @ (offset_gradient / offset_curvature))
        offset_step = (offset_gradient - mixed.T @ step) / offset_curvature
        before, share = objective(common, offsets), 1.0
        while share > _TOLERANCE and objective(common + share * step, offsets + share * offset_step) < before:
            share /= 2
        common, offsets = common + share * step, offsets + share * offset_step
        if max(float(np.abs(step).max()), float(np.abs(offset_step).max(initial=0.0))) < _TOLERANCE:
            break
    slope = float(common[0]) / scale
    return GroupedLogistic(slope, float(common[1]) - slope * mean, offsets)


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + e^−x), without overflow."""
    found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits, -60, 60)))
    return found
