from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runner.fakes import contract
from zsre.relations.contract import Calibration
from zsre.relations.relation import Argument, OwnCalibration, Relation, RelationSet
from zsre.relations.vectors import PairVectors
from zsre.runner import decide as module
from zsre.runner.decide import Decisions, decide, score_pairs
from zsre.runner.pair_types import PairTypes, TypeMask
from zsre.runner.rules import Rules, make_rules

#: Scores are σ(10 · similarity − 5): 0.5 at 0.5.
CALIBRATION = Calibration(slope=10.0, intercept=-5.0, threshold=0.5)
CONTRACT = replace(contract(), calibration=CALIBRATION)
PEOPLE, PLACES = Argument(("PERSON",)), Argument(("GPE",))


def _relations(*names: str, **changes: Relation) -> RelationSet:
    return RelationSet(tuple(changes.get(name, Relation(name, name, name)) for name in names))


def _vectors(similarities: NDArray[np.float64]) -> tuple[PairVectors, NDArray[np.float32]]:
    """Build vectors of P pairs and R relations whose similarities are those given, (P, R), all from the context."""
    pairs, relations = similarities.shape
    contexts = similarities.astype(np.float16)
    blocks = np.zeros((relations, 3, relations), dtype=np.float32)
    blocks[:, 2] = np.eye(relations)
    ends = np.column_stack([np.arange(pairs), np.arange(pairs)[::-1]])
    return PairVectors(np.zeros((pairs, relations), dtype=np.float16), contexts, ends, np.arange(pairs)), blocks


def _decide(
    relations: RelationSet,
    similarities: list[list[float]],
    ends: list[tuple[int, int]],
    types: list[tuple[str | None, str | None]] | None = None,
    threshold: float | None = None,
    most: int = 3,
) -> list[tuple[int, str]]:
    vectors, blocks = _vectors(np.asarray(similarities))
    rules = make_rules(relations, CONTRACT, threshold, most)
    given = types or [(None, None)] * len(similarities)
    found = decide(vectors, blocks, TypeMask(relations), PairTypes.of(given), np.asarray(ends, dtype=np.int64), rules)
    return [(int(pair), relations.ids[relation]) for pair, relation in zip(found.pair, found.relation, strict=True)]


def test_a_relation_is_written_at_its_threshold_and_above() -> None:
    assert _decide(_relations("a", "b", "c"), [[0.5, 0.499, 0.75]], [(0, 1)]) == [(0, "c"), (0, "a")]


def test_a_relations_files_own_calibration_goes_before_the_models() -> None:
    mine = replace(_relations("a", "b"), calibration=OwnCalibration("f" * 32, slope=20.0, intercept=-15.0))
    rules = make_rules(mine, CONTRACT, None, 3)
    assert rules.calibration.probability(np.float32([0.75])).tolist() == [0.5]
    assert rules.thresholds.tolist() == [0.5, 0.5]
    assert _decide(mine, [[0.74, 0.76]], [(0, 1)]) == [(0, "b")]


def test_types_mask_before_anything_is_chosen() -> None:
    typed = _relations("a", "b", "c", a=Relation("a", "a", "a", head=PLACES))
    vectors, blocks = _vectors(np.asarray([[0.875, 0.75, 0.5]]))
    rules = make_rules(typed, CONTRACT, None, 1)
    found = decide(vectors, blocks, TypeMask(typed), PairTypes.of([("PERSON", "GPE")]), np.asarray([[0, 1]]), rules)
    assert found.relation.tolist() == [1], "the place among one that a pair may have isn't lost to a masked relation"
    assert found.margin.tolist() == [0.25], "a masked relation is no runner-up"


def test_at_most_so_many_relations_for_a_pair_and_ties_go_by_order() -> None:
    relations = _relations("a", "b", "c", "d")
    assert _decide(relations, [[0.5, 0.75, 0.75, 0.75], [0.75, 0, 0, 0]], [(0, 1), (1, 0)]) == [
        (0, "b"),
        (0, "c"),
        (0, "d"),
        (1, "a"),
    ]


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_relation_comes_out_once_for_two_mentions_in_the_better_order(symmetric: bool) -> None:
    relations = _relations("a", a=Relation("a", "a", "a", symmetric=symmetric))
    assert _decide(relations, [[0.5], [0.75]], [(0, 1), (1, 0)]) == [(1, "a")]
    assert _decide(relations, [[0.75], [0.5]], [(0, 1), (1, 0)]) == [(0, "a")]
    assert _decide(relations, [[0.75], [0.75]], [(0, 1), (1, 0)]) == [(0, "a")]
    assert _decide(relations, [[0.75], [0.75]], [(1, 0), (0, 1)]) == [(1, "a")], "the earlier mention is head"
    assert len(_decide(relations, [[0.75], [0.75]], [(0, 1), (2, 1)])) == 2, "other mentions, another fact"


def test_of_inverses_only_the_better_one_is_written() -> None:
    relations = _relations("parent", "child", parent=Relation("parent", "parent", "parent", inverse="child"))
    order = [(0, 1), (1, 0)]
    assert _decide(relations, [[0.75, 0], [0, 0.875]], order) == [(1, "child")]
    assert _decide(relations, [[0.875, 0], [0, 0.75]], order) == [(0, "parent")]
    assert _decide(relations, [[0, 0.75], [0.75, 0]], order) == [(1, "parent")], "a tie goes by order in the file"
    assert _decide(relations, [[0.75, 0.75], [0, 0]], order) == [(0, "parent")], "nobody is both"


def test_a_rival_is_only_beaten_by_what_is_written() -> None:
    relations = _relations(
        "a", "b", "c", a=Relation("a", "a", "a", inverse="b"), c=Relation("c", "c", "c", inverse="a")
    )
    # b beats a; c, whose only rival a is out, stays.
    assert _decide(relations, [[0.75, 0, 0], [0, 0.875, 0.5]], [(0, 1), (1, 0)]) == [(1, "b"), (1, "c")]


def _scored(parts: list[list[list[float]]], threshold: float = 0.0) -> Decisions:
    array = np.asarray(parts, dtype=np.float32)
    pairs, relations = array.shape[:2]
    rules = Rules(CALIBRATION, np.full(relations, threshold), (frozenset(),) * relations)
    return score_pairs(array, np.arange(pairs), np.arange(relations), rules)


def test_parts_sum_to_the_similarity_after_rounding() -> None:
    random = np.random.default_rng(0)
    found = _scored(random.uniform(-0.4, 0.4, (50, 4, 3)).tolist())
    assert len(found) == 200
    for values in (found.parts, found.similarity, found.score):
        assert (values == np.round(values, 4)).all()
    assert (np.round(found.parts.sum(axis=1), 4) == found.similarity).all()


def test_the_score_is_the_calibrated_probability() -> None:
    found = _scored([[[0.2, 0.3, 0.1]]])
    assert found.similarity.tolist() == [0.6]
    assert found.score.tolist() == [round(1 / (1 + math.exp(-1.0)), 4)]


def test_a_score_on_the_threshold_counts_although_floats_are_inexact() -> None:
    below = Calibration(slope=1.0, intercept=math.log(0.7 / 0.3) - 1e-9)
    rules = Rules(below, np.asarray([0.7]), (frozenset(),))
    found = score_pairs(np.zeros((1, 1, 3), dtype=np.float32), np.arange(1), np.arange(1), rules)
    assert found.score.tolist() == [0.7]


def test_nothing_is_written_as_minus_zero() -> None:
    found = _scored([[[0.3, 0.2, -0.00001]]])
    assert [math.copysign(1, part) for part in found.parts[0]] == [1, 1, 1]


def test_the_margin_is_the_distance_to_the_best_other_relation() -> None:
    found = _scored([[[0.5, 0, 0], [0.75, 0, 0], [0.25, 0, 0]]])
    assert found.margin.tolist() == [-0.25, 0.25, -0.5]
    assert np.isnan(_scored([[[0.5, 0, 0]]]).margin).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    relations = _relations(*"abcde", a=Relation("a", "a", "a", symmetric=True))
    mentions = random.normal(size=(8, 16)).astype(np.float16) / 4
    contexts = random.normal(size=(30, 16)).astype(np.float16) / 4
    ends = random.integers(0, 8, (30, 2))
    vectors = PairVectors(mentions, contexts, ends, np.arange(30) * 2)
    blocks = random.normal(size=(5, 3, 16)).astype(np.float32) / 4
    rules = make_rules(relations, CONTRACT, 0.02, 3)
    types: list[tuple[str | None, str | None]] = [("PERSON", "GPE")] * 60
    asked = np.repeat(ends, 2, axis=0)
    whole = decide(vectors, blocks, TypeMask(relations), PairTypes.of(types), asked, rules)
    monkeypatch.setattr(module, "_CHUNK_PARTS", 15 * 4)
    chunked = decide(vectors, blocks, TypeMask(relations), PairTypes.of(types), asked, rules)
    assert len(whole) > 20
    for name in ("pair", "relation", "score", "similarity", "parts", "margin"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(chunked, name))


def test_pairs_that_were_not_encoded_keep_the_others_in_place() -> None:
    relations = _relations("a", a=Relation("a", "a", "a", head=PEOPLE))
    vectors, blocks = _vectors(np.asarray([[0.75], [0.75]]))
    shifted = PairVectors(vectors.mentions, vectors.contexts, vectors.pairs, np.asarray([1, 3]), too_long=2)
    types: list[tuple[str | None, str | None]] = [("PERSON", "X"), ("GPE", "X"), ("GPE", "X"), ("PERSON", "X")]
    ends = np.asarray([[0, 1], [1, 0], [2, 3], [3, 2]])
    found = decide(
        shifted, blocks, TypeMask(relations), PairTypes.of(types), ends, make_rules(relations, CONTRACT, None, 3)
    )
    assert found.pair.tolist() == [3]


def test_no_pairs_make_no_decisions() -> None:
    relations = _relations("a")
    empty = PairVectors(
        np.zeros((0, 1), dtype=np.float16),
        np.zeros((0, 1), dtype=np.float16),
        np.zeros((0, 2), dtype=np.int64),
        np.zeros(0, dtype=np.int64),
    )
    rules = make_rules(relations, CONTRACT, None, 3)
    blocks = np.zeros((1, 3, 1), dtype=np.float32)
    assert (
        len(decide(empty, blocks, TypeMask(relations), PairTypes.of([]), np.zeros((0, 2), dtype=np.int64), rules)) == 0
    )
