"""Which pairs come near a threshold at all: most don't, and only the others are worth comparing in double precision.

Shape letters: P pairs, M mentions, R relations, D width of one vector.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsre.relations.contract import Calibration
from zsre.relations.vectors import PairVectors
from zsre.runner.half_precision import to_single

#: More than rounding to four decimals, of a score or a similarity, and single precision can make up.
_SLACK: Final = 1.5e-4
#: Similarities worked on at a time, and contexts, so that they stay in a processor's cache.
_CACHED: Final = 65_536
_CONTEXTS: Final = 512


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
    vectors: PairVectors, rows: NDArray[np.int64], relation_vectors: NDArray[np.float32], near: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return those of the pairs at ``rows`` whose similarity to some relation, (R, 3, D), is at or above ``near`` (R,).

    In single precision, and summed in any order: `near_similarities` leaves room for more than that. A mention is
    multiplied once, however many pairs it stands in, and no part of a similarity is kept beside the sum.
    """
    used, ends = used_mentions(vectors.pairs[rows], len(vectors.mentions))
    mentions = to_single(vectors.mentions[used])
    heads = mentions @ relation_vectors[:, 0].T
    # What is near is at or above zero from here on, so that one maximum over relations tells.
    heads -= near.astype(np.float32)
    tails = mentions @ relation_vectors[:, 1].T
    most = np.empty(len(rows), dtype=np.float32)
    similarities = max(1, _CACHED // max(1, len(near)))
    for begin in range(0, len(rows), _CONTEXTS):
        above = to_single(vectors.contexts[rows[begin : begin + _CONTEXTS]]) @ relation_vectors[:, 2].T
        for start in range(0, len(above), similarities):
            part = above[start : start + similarities]
            pairs = slice(begin + start, begin + start + len(part))
            part += heads[ends[pairs, 0]]
            part += tails[ends[pairs, 1]]
            part.max(axis=1, out=most[pairs])
    return rows[most >= 0]


def used_mentions(pairs: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of ``count`` mentions stand in pairs (P, 2), ascending, and the pairs as positions among these."""
    stands = np.zeros(count, dtype=np.bool_)
    stands[pairs] = True
    used = np.flatnonzero(stands)
    places = np.empty(count, dtype=np.int64)
    places[used] = np.arange(len(used))
    return used, places[pairs]
