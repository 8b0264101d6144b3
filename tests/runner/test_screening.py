from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsre.relations.contract import Calibration
from zsre.relations.relation import Relation, RelationSet
from zsre.relations.vectors import PairVectors, scale_blocks
from zsre.runner import screening
from zsre.runner.decide import Decisions, score_pairs, scored
from zsre.runner.pair_types import PairTypes, TypeMask
from zsre.runner.rules import Rules
from zsre.runner.screening import close_pairs, near_similarities

CALIBRATION = Calibration(slope=12.0, intercept=-1.0)
WIDTH = 8


def unit(generator: np.random.Generator, count: int) -> NDArray[np.float32]:
    vectors = generator.normal(size=(count, WIDTH))
    scaled: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def drawn(seed: int, pairs: int, relations: int) -> tuple[PairVectors, NDArray[np.float32]]:
    """Return pairs of ten mentions, and relations, of random directions."""
    generator = np.random.default_rng(seed)
    ends = generator.integers(0, 10, (pairs, 2))
    contexts = unit(generator, pairs) * 0.34**0.5
    mentions = unit(generator, 10) * 0.33**0.5
    vectors = PairVectors(mentions.astype(np.float16), contexts.astype(np.float16), ends, np.arange(pairs))
    head, tail, context = (unit(generator, relations) for _ in range(3))
    return vectors, scale_blocks(head, tail, context, 0.33)


def without_screening(vectors: PairVectors, relation_vectors: NDArray[np.float32], rules: Rules) -> Decisions:
    parts = vectors.similarities(relation_vectors.astype(np.float64))
    return score_pairs(parts, vectors.kept, np.arange(len(relation_vectors)), rules)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 12))
def test_nothing_is_lost_with_thresholds_on_the_very_scores(seed: int, pairs: int, relations: int) -> None:
    vectors, relation_vectors = drawn(seed, pairs, relations)
    none = (frozenset[int](),) * relations
    every = without_screening(vectors, relation_vectors, Rules(CALIBRATION, np.zeros(relations), none))
    generator = np.random.default_rng(seed)
    thresholds = every.score.reshape(pairs, relations)[generator.integers(0, pairs, relations), np.arange(relations)]
    rules = Rules(CALIBRATION, thresholds, none)
    set_of = RelationSet(tuple(Relation(str(number), "r", "r") for number in range(relations)))
    found = scored(vectors, relation_vectors, TypeMask(set_of).rows, PairTypes.of([(None, None)] * pairs), rules)
    expected = without_screening(vectors, relation_vectors, rules)
    assert len(found) >= relations
    for own in fields(Decisions):
        np.testing.assert_array_equal(getattr(found, own.name), getattr(expected, own.name))


def test_what_is_far_from_every_threshold_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, relation_vectors = drawn(3, 200, 6)
    similarities = vectors.similarities(relation_vectors.astype(np.float64)).sum(axis=2)
    near = np.linspace(0.3, 0.6, 6)
    expected = np.flatnonzero((similarities >= near).any(axis=1))
    assert 0 < len(expected) < 100
    for cached, contexts in ((1, 1), (30, 7), (30, 500), (100_000, 500)):
        monkeypatch.setattr(screening, "_CACHED", cached)
        monkeypatch.setattr(screening, "_CONTEXTS", contexts)
        for rows in (np.arange(200), np.arange(3, 180, 4), np.arange(0)):
            found = close_pairs(vectors, rows, relation_vectors, near)
            np.testing.assert_array_equal(found, np.intersect1d(rows, expected))


def test_near_is_a_little_below_where_a_score_is_at_its_threshold() -> None:
    thresholds = np.asarray([0.1, 0.5, 0.9])
    near = near_similarities(CALIBRATION, thresholds)
    exact = (np.log(thresholds / (1 - thresholds)) - CALIBRATION.intercept) / CALIBRATION.slope
    assert ((near < exact - 1e-4) & (near > exact - 1e-3)).all()


@pytest.mark.parametrize(
    ("calibration", "threshold", "close"),
    [
        (CALIBRATION, 0.0, True),
        (CALIBRATION, 1.1, False),
        (Calibration(slope=0.0, intercept=9.0), 0.9, True),
        (Calibration(slope=-2.0, intercept=0.0), 0.9, True),
    ],
)
def test_thresholds_that_all_pairs_reach_or_none(calibration: Calibration, threshold: float, close: bool) -> None:
    vectors, relation_vectors = drawn(4, 20, 3)
    near = near_similarities(calibration, np.full(3, threshold))
    assert len(close_pairs(vectors, np.arange(20), relation_vectors, near)) == (20 if close else 0)
