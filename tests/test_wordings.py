"""The catalogue in other words: the same relations, and nothing that measuring shares with training."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from zsre.relations.catalogue import load_relations
from zsre.relations.relation import Relation, RelationSet

FOLDER = Path(__file__).parents[1] / "wordings"
TRAIN = sorted(FOLDER.glob("train-*.yaml"))
MEASURE = FOLDER / "measure.yaml"


def _phrases(relation: Relation) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", relation.description.lower())
    return {tuple(words[start : start + 4]) for start in range(len(words) - 3)}


@pytest.fixture(scope="module")
def catalogue() -> RelationSet:
    return load_relations("wikidata")


@pytest.mark.parametrize("path", [*TRAIN, MEASURE], ids=lambda path: path.stem)
def test_the_relations_are_the_catalogues_with_their_types(path: Path, catalogue: RelationSet) -> None:
    worded = load_relations(str(path))
    assert [relation.id for relation in worded] == [relation.id for relation in catalogue]
    for one, other in zip(worded, catalogue, strict=True):
        assert (one.head.types, one.tail.types) == (other.head.types, other.tail.types), one.id


def test_no_description_comes_twice(catalogue: RelationSet) -> None:
    worded = [catalogue, *(load_relations(str(path)) for path in (*TRAIN, MEASURE))]
    for one, other in combinations(worded, 2):
        same = {relation.description for relation in one} & {relation.description for relation in other}
        assert not same


def test_measuring_shares_no_phrase_of_a_relation_with_training(catalogue: RelationSet) -> None:
    measured = {relation.id: _phrases(relation) for relation in load_relations(str(MEASURE))}
    for trained in (catalogue, *(load_relations(str(path)) for path in TRAIN)):
        shared = {relation.id: measured[relation.id] & _phrases(relation) for relation in trained}
        assert not {name: phrases for name, phrases in shared.items() if phrases}
