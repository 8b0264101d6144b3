from __future__ import annotations

from dataclasses import replace

import pytest

from tests.runner.fakes import contract
from zsre.relations.contract import Calibration
from zsre.relations.errors import RelationsFileError
from zsre.relations.relation import OwnCalibration, Relation, RelationSet
from zsre.runner.rules import make_rules, swap_partners

CONTRACT = replace(contract(), calibration=Calibration(slope=10.0, intercept=-5.0, threshold=0.5))


def _relations(*names: str, **changes: Relation) -> RelationSet:
    return RelationSet(tuple(changes.get(name, Relation(name, name, name)) for name in names))


def test_a_relations_own_threshold_goes_before_the_runs_and_the_runs_before_the_models() -> None:
    own = _relations("a", "b", a=Relation("a", "a", "a", threshold=0.2))
    assert make_rules(own, CONTRACT, None, 3).thresholds.tolist() == [0.2, 0.5]
    assert make_rules(own, CONTRACT, 0.9, 3).thresholds.tolist() == [0.2, 0.9]


def test_a_calibration_of_another_model_is_refused() -> None:
    other = replace(_relations("a"), calibration=OwnCalibration("0123", 20.0, -15.0), source="mine.yaml")
    with pytest.raises(RelationsFileError) as caught:
        make_rules(other, CONTRACT, None, 3)
    assert str(caught.value) == (
        f"mine.yaml: field calibration: its scores are those of the model '0123', and this is '{'f' * 32}' (fake): "
        "fit it again with zsre-eval --calibrate, or take the field out, and thresholds that came with it"
    )


def test_partners_are_mutual_and_need_both_relations() -> None:
    relations = _relations(
        "a",
        "b",
        "s",
        "x",
        a=Relation("a", "a", "a", inverse="b"),
        s=Relation("s", "s", "s", symmetric=True),
        x=Relation("x", "x", "x", inverse="elsewhere"),
    )
    assert swap_partners(relations) == (frozenset({1}), frozenset({0}), frozenset({2}), frozenset())
