from __future__ import annotations

import argparse
from dataclasses import replace

import pytest

from zsre.relations.catalogue import load_relations
from zsre.relations.relation import RelationSet
from zsre.runner.counts import Counts
from zsre.runner.ending import lower_threshold

CATALOGUE = load_relations("wikidata:P112,P26")
OWN = replace(
    CATALOGUE,
    relations=tuple(replace(relation, description=f"it is so that {relation.name}") for relation in CATALOGUE),
)
CHOSEN = replace(OWN, relations=(OWN.relations[0], replace(OWN.relations[1], threshold=0.4)))
FEW, MANY = Counts(scored_pairs=1000, triples=9), Counts(scored_pairs=1000, triples=10)


@pytest.mark.parametrize(
    ("given", "relations", "counts", "lower"),
    [
        (None, OWN, FEW, 0.2),
        (None, OWN, MANY, None),
        (None, OWN, Counts(), None),
        (0.4, OWN, FEW, None),
        (None, CHOSEN, FEW, None),
        (None, CATALOGUE, FEW, None),
        (None, replace(OWN, relations=(*OWN, *load_relations("wikidata:P19"))), FEW, 0.2),
    ],
)
def test_a_lower_threshold_is_offered_where_own_words_give_few_triples(
    given: float | None, relations: RelationSet, counts: Counts, lower: float | None
) -> None:
    thresholds = dict.fromkeys(relations.ids, 0.4)
    assert lower_threshold(argparse.Namespace(threshold=given), relations, counts, thresholds) == lower
