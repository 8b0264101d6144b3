"""Pairs in, vectors out: what passes between an encoder and everything that scores (eq. 26 as one dot product).

The matching score α·cos + α·cos + (1−2α)·cos is the dot product of a pair vector and a relation vector, each
of three blocks (head, tail, context) that are normalised and scaled by √α, √α and √(1−2α).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from zsre.relations.examples import Mention

#: Single or double precision.
Float = TypeVar("Float", np.float32, np.float64)


@dataclass(frozen=True, slots=True)
class PairSentence:
    """A sentence to encode: its text, mentions with offsets into that text, and ordered pairs of mentions."""

    text: str
    mentions: tuple[Mention, ...]
    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PairVectors:
    """The vectors of many pairs, rounded to float16 so that fresh and kept vectors decide alike.

    ``mentions`` is (M, D), ``contexts`` (P, D), both scaled; ``pairs`` (P, 2) holds the rows of ``mentions``
    that are a pair's head and tail. ``kept`` (P,) gives each encoded pair's position in the flattened list of
    all pairs that were asked for, ascending. The missing ones are counted: ``too_long`` (the two mentions lie
    further apart than the model reads) or ``no_tokens`` (a mention has no token of its own, as with characters
    that the tokenizer drops). ``cut_sentences`` are longer than the model reads, and seen through windows.
    """

    mentions: NDArray[np.float16]
    contexts: NDArray[np.float16]
    pairs: NDArray[np.int64]
    kept: NDArray[np.int64]
    too_long: int = 0
    no_tokens: int = 0
    cut_sentences: int = 0

    def similarities(self, relation_vectors: NDArray[Float]) -> NDArray[Float]:
        """Return the head, tail and context parts of each pair's similarity to each relation.

        ``relation_vectors`` is (R, 3, D), as `scale_blocks` gives it, and its precision is that of the result. That
        is (P, R, 3), and its sum over the last axis is f(X, p) of eq. 26.
        """
        precision = relation_vectors.dtype
        return score_parts(
            self.mentions.astype(precision), self.contexts.astype(precision), self.pairs, relation_vectors
        )


def block_scales(alpha: float) -> tuple[float, float, float]:
    """Return √α, √α and √(1−2α), the scales of the head, tail and context blocks; α is in [0, 0.5]."""
    assert 0 <= alpha <= 0.5
    return math.sqrt(alpha), math.sqrt(alpha), math.sqrt(1 - 2 * alpha)


def scale_blocks(
    head: NDArray[np.float32], tail: NDArray[np.float32], context: NDArray[np.float32], alpha: float
) -> NDArray[np.float32]:
    """Join the three vectors of each relation, (R, D) each, into normalised and scaled blocks (R, 3, D)."""
    blocks = np.stack([head, tail, context], axis=1)
    norms = np.linalg.norm(blocks, axis=-1, keepdims=True)
    scales = np.asarray(block_scales(alpha), dtype=np.float32)[None, :, None]
    scaled: NDArray[np.float32] = (blocks / np.maximum(norms, 1e-12) * scales).astype(np.float32)
    return scaled


def score_parts(
    mentions: NDArray[Float],
    contexts: NDArray[Float],
    pairs: NDArray[np.int64],
    relation_vectors: NDArray[Float],
) -> NDArray[Float]:
    """Return (P, R, 3) similarity parts; a mention is multiplied once, however many pairs it stands in."""
    parts = np.empty((len(pairs), len(relation_vectors), 3), dtype=relation_vectors.dtype)
    parts[:, :, 0] = (mentions @ relation_vectors[:, 0].T)[pairs[:, 0]]
    parts[:, :, 1] = (mentions @ relation_vectors[:, 1].T)[pairs[:, 1]]
    parts[:, :, 2] = contexts @ relation_vectors[:, 2].T
    return parts
