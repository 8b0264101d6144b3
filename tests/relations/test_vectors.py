from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsre.relations.vectors import PairVectors, block_scales, scale_blocks, score_parts

GENERATOR = np.random.default_rng(3)
ALPHAS = (0.0, 0.2, 0.33, 0.5)


def random(*shape: int) -> NDArray[np.float32]:
    return GENERATOR.normal(size=shape).astype(np.float32)


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def scaled(vectors: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True) * np.float32(scale)
    return unit


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_parts_are_the_three_terms_of_the_matching_score(alpha: float) -> None:
    mentions, contexts, pairs = random(4, 16), random(3, 16), np.array([[0, 1], [1, 0], [3, 2]])
    head, tail, description = random(5, 16), random(5, 16), random(5, 16)
    end, _, middle = block_scales(alpha)
    parts = score_parts(
        scaled(mentions, end), scaled(contexts, middle), pairs, scale_blocks(head, tail, description, alpha)
    )
    for pair, (first, second) in enumerate(pairs):
        for relation in range(5):
            expected = (  # eq. 26, term by term
                alpha * cosine(mentions[first], head[relation]),
                alpha * cosine(mentions[second], tail[relation]),
                (1 - 2 * alpha) * cosine(contexts[pair], description[relation]),
            )
            assert parts[pair, relation] == pytest.approx(expected, abs=1e-6)


@given(st.floats(0, 0.5, allow_subnormal=False))
def test_a_pair_that_matches_perfectly_scores_one(alpha: float) -> None:
    assert sum(scale**2 for scale in block_scales(alpha)) == pytest.approx(1)


@pytest.mark.parametrize("alpha", [-0.01, 0.51])
def test_alpha_has_its_range(alpha: float) -> None:
    with pytest.raises(AssertionError):
        block_scales(alpha)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_blocks_are_normalised_scaled_and_kept_apart(alpha: float) -> None:
    head, tail, context = random(2, 8) * 9, random(2, 8) / 9, random(2, 8)
    blocks = scale_blocks(head, tail, context, alpha)
    assert (blocks.shape, blocks.dtype) == ((2, 3, 8), np.float32)
    assert np.linalg.norm(blocks, axis=-1) == pytest.approx(np.tile(block_scales(alpha), (2, 1)), abs=1e-6)
    for place, vectors in enumerate((head, tail, context)):
        if block_scales(alpha)[place]:
            assert [cosine(blocks[r, place], vectors[r]) for r in range(2)] == pytest.approx([1, 1])


def test_a_vector_of_nothing_matches_nothing() -> None:
    zero = np.zeros((1, 8), dtype=np.float32)
    assert (scale_blocks(zero, zero, zero, 0.33) == 0).all()


def test_similarities_are_those_of_vectors_rounded_to_float16() -> None:
    end, _, middle = block_scales(0.33)
    mentions, contexts = scaled(random(4, 64), end), scaled(random(3, 64), middle)
    pairs, kept = np.array([[0, 1], [1, 0], [3, 2]]), np.arange(3)
    relations = scale_blocks(random(5, 64), random(5, 64), random(5, 64), 0.33)
    vectors = PairVectors(mentions.astype(np.float16), contexts.astype(np.float16), pairs, kept)
    parts = vectors.similarities(relations)
    assert (parts.shape, parts.dtype) == ((3, 5, 3), np.float32)
    exact = score_parts(mentions, contexts, pairs, relations)
    assert np.abs(parts - exact).max() < 1e-3
    again = PairVectors(vectors.mentions.copy(), vectors.contexts.copy(), pairs, kept).similarities(relations)
    assert (parts == again).all(), "what was kept scores as what is fresh"


def test_no_pairs_and_no_relations_have_similarities_of_their_shape() -> None:
    empty = PairVectors(
        np.empty((0, 8), np.float16), np.empty((0, 8), np.float16), np.empty((0, 2), np.int64), np.empty(0, np.int64)
    )
    assert empty.similarities(random(5, 3, 8)).shape == (0, 5, 3)
