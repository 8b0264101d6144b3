"""The paper's equations in plain NumPy, for one sentence, pair or batch at a time: what the torch code must agree with.

Where the paper leaves something open, the reading is that of the code: the weights over tokens are those of the
row's own tokens, entity and context vectors go through tanh before the cosine, attention of the selector
is divided by √D, and the weights of eq. 21 are normalised again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax(x: Array) -> Array:
    weights: Array = np.exp(x - x.max())
    return weights / weights.sum()


def weight_pooling(span: Array, hidden: Array, bias: Array, score: Array) -> Array:
    """Eqs. 2 and 3 for the (n, D) states of an entity's tokens."""
    return softmax(np.tanh(span @ hidden.T + bias) @ score) @ span


def attended(query: Array, states: Array) -> Array:
    """Eq. 8."""
    return softmax(states @ query) @ states


def unattended(query: Array, states: Array) -> Array:
    """Eq. 9."""
    return (1 - softmax(states @ query)) @ states


def without_direction(x: Array, direction: Array) -> Array:
    """Eqs. 10 and 14."""
    return x - (x @ direction) * direction / (direction @ direction)


def irrelevant(query: Array, states: Array) -> Array:
    """Eq. 11."""
    dot = attended(query, states)
    return dot + without_direction(unattended(query, states), dot)


def position_gaussian(length: int, offset: float) -> Array:
    """Eqs. 16–20 over the positions of a row's tokens, (n,)."""
    positions = np.arange(length, dtype=np.float64)
    mean = positions.mean() + offset
    sigma = np.sqrt(((positions - mean) ** 2).mean())
    weights = np.exp(-0.5 * (np.abs(positions - mean) / sigma) ** 2)
    return weights / weights.sum()


def value_gaussian(keys: Array, offset: Array) -> Array:
    """Eqs. 16–20 over the key values of each feature, (n, D)."""
    mean = keys.mean(0) + offset
    sigma = np.sqrt(((keys - mean) ** 2).mean(0))
    weights = np.exp(-0.5 * (np.abs(keys - mean) / sigma) ** 2)
    return weights / weights.sum(0)


def selected(query: Array, keys: Array, values: Array, gaussian: Array) -> Array:
    """Eqs. 15, 21 and 22; ``gaussian`` is (n,) or (n, D)."""
    attention = softmax(keys @ query / np.sqrt(len(query)))
    weights = gaussian * attention if gaussian.ndim == 1 else gaussian * attention[:, None]
    weights = weights / weights.sum(0)
    return weights @ values if weights.ndim == 1 else (weights * values).sum(0)


def cosine(one: Array, other: Array) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def matching_score(pair: tuple[Array, Array, Array], relation: tuple[Array, Array, Array], alpha: float) -> float:
    """Eq. 26; both sides are head, tail and context vector, not normalised."""
    head, tail, context = (cosine(one, other) for one, other in zip(pair, relation, strict=True))
    return alpha * (head + tail) + (1 - 2 * alpha) * context


def contrastive_loss(one: Array, other: Array, temperature: float) -> float:
    """Eqs. 24 and 25."""
    losses = []
    for i in range(len(one)):
        similarities = np.array([one[i] @ other[j] / temperature for j in range(len(other))])
        losses.append(-np.log(softmax(similarities)[i]))
    return float(np.mean(losses))


def reverse_loss(logits: Array, relation: list[int]) -> float:
    """Eq. 13 for rows that state one relation each."""
    return float(-np.mean([np.log(softmax(row)[stated]) for row, stated in zip(logits, relation, strict=True)]))


def ranking_loss(scores: Array, relation: list[int], top_k: int, hard_margin: float, semi_hard_margin: float) -> float:
    """Eqs. 27–29: every other relation is a negative, the first ``top_k`` of them hard, the rest semi-hard."""
    losses = []
    for row, stated in zip(scores, relation, strict=True):
        negatives = sorted((score for index, score in enumerate(row) if index != stated), reverse=True)
        hard, semi_hard = negatives[:top_k], negatives[top_k:]
        loss = max(0.0, max(hard) - row[stated] + hard_margin)
        if semi_hard:
            loss += max(0.0, max(semi_hard) - row[stated] + semi_hard_margin)
        losses.append(loss)
    return float(np.mean(losses))
