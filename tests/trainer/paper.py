"""The paper's equations in plain NumPy, for one sentence, pair or batch at a time: what the torch code must agree with.

Where the paper leaves something open, the reading is that of the code: the weights over tokens are those of the
row's own tokens, entity and context vectors go through tanh before the cosine, attention of the selector
is divided by √D, and the weights of eq. 21 are normalised again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: A model's parameters by their names in torch.
Weights = Mapping[str, Array]


def linear(x: Array, weights: Weights, layer: str) -> Array:
    product: Array = x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
    return product


def slope(function: Callable[[Array], float], x: Array, step: float = 1e-5) -> Array:
    """Return the gradient of a function at a vector, by central differences."""
    moves = step * np.eye(len(x))
    return np.array([function(x + move) - function(x - move) for move in moves]) / (2 * step)


def softmax(x: Array) -> Array:
    weights: Array = np.exp(x - x.max())
    return weights / weights.sum()


def weight_pooling(span: Array, hidden: Array, bias: Array, score: Array) -> Array:
    """Eqs. 2 and 3 for the (n, D) states of an entity's tokens."""
    return softmax(np.tanh(span @ hidden.T + bias) @ score) @ span


def sentence_vector(states: Array) -> Array:
    """Eqs. 5–7: Sentence-BERT's mean of the (n, D) states of a text, normalised."""
    mean: Array = states.mean(0)
    return mean / np.linalg.norm(mean)


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
    mean = positions.mean() + offset * length
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


def distilled(markers: Array, states: Array, weights: Weights, reading: str) -> Array:
    """Eqs. 4, 14, 22 and 23: h̄ from the two marker states joined, (2·D,), and the (n, D) states of their row."""
    hidden = linear(markers, weights, "context")
    removed = without_direction(hidden, irrelevant(weights["projection.query"], states))
    keys, values = linear(states, weights, "selector.key"), linear(states, weights, "selector.value")
    offset = weights["selector.offset"]
    gaussian = (
        position_gaussian(len(states), float(offset[0])) if reading == "position" else value_gaussian(keys, offset)
    )
    return removed + selected(linear(hidden, weights, "selector.query"), keys, values, gaussian)


def sentence_side(
    states: Array, head: tuple[int, int], tail: tuple[int, int], weights: Weights, marked: bool, reading: str
) -> tuple[Array, Array, Array]:
    """Eqs. 2–4, 8–11 and 14–23: a pair's head, tail and context vector from its row's states and two token spans."""
    hidden, bias, score = (weights[f"pooling.{name}"] for name in ("hidden.weight", "hidden.bias", "score"))
    ends = [weight_pooling(states[start:end], hidden, bias, score) for start, end in (head, tail)]
    markers = np.concatenate([states[start - 1 if marked else start] for start, _ in (head, tail)])
    return ends[0], ends[1], distilled(markers, states, weights, reading)


def projected_view(view: Array, weights: Weights) -> Array:
    """Algorithm 2: an augmented context through the linear layer, normalised."""
    projected = linear(view, weights, "contrast")
    return projected / np.linalg.norm(projected)


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
