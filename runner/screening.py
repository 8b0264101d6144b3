"""Which pairs come near a threshold at all: most don't, and only the others are worth comparing in double precision.

Shape letters: P pairs, M mentions, R relations, D width of one vector.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsre.relations.contract import Calibration
from zsre.relations.vectors import PairVectors

#: More than rounding to four decimals, of a score or a similarity, and single precision can make up.
_SLACK: Final = 1.5e-4
#: Similarities worked on at a time, so that they stay in a processor's cache.
_CACHED: Final = 65_536


def near_similarities(calibration: Calibration, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (R,): the similarity below which no rounding takes a relation to its threshold (R,)."""
    if calibration.slope <= 0:
        return np.full(len(thresholds), -np.inf)
    least = np.clip(thresholds - _SLACK, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        logits = np.log(least) - np.log1p(-least)
    near: NDArray[np.float64] = (logits - calibration.intercept) / calibration.slope - _SLACK
    return near


def close_pairs(
    vectors: PairVectors, relation_vectors: NDArray[np.float32], near: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the positions of the pairs whose similarity to some relation, (R, 3, D), is at or above its ``near`` (R,).

    In single precision, and summed in any order: `near_similarities` leaves room for more than that. A mention is
    multiplied once, however many pairs it stands in, and no part of a similarity is kept beside the sum.
    """
    mentions = vectors.mentions.astype(np.float32)
    heads = mentions @ relation_vectors[:, 0].T
    # What is near is at or above zero from here on, so that one maximum over relations tells.
    heads -= near.astype(np.float32)
    tails = mentions @ relation_vectors[:, 1].T
    above = vectors.contexts.astype(np.float32) @ relation_vectors[:, 2].T
    most = np.empty(len(above), dtype=np.float32)
    rows = max(1, _CACHED // max(1, len(near)))
    for start in range(0, len(above), rows):
        part = slice(start, start + rows)
        above[part] += heads[vectors.pairs[part, 0]]
        above[part] += tails[vectors.pairs[part, 1]]
        above[part].max(axis=1, out=most[part])
    return np.flatnonzero(most >= 0)
