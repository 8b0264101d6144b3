from __future__ import annotations

from dataclasses import replace

import pytest

from zsre.relations.relation import SPACY_TYPES, Argument, Relation
from zsre.relations.relation_texts import RelationTexts, relation_fingerprint, relation_texts

RELATION = Relation(
    "P112", "founded by", "who started it", Argument(("ORG",), ("company", "school", "club")), Argument(("PERSON",))
)


def test_texts_of_a_relation() -> None:
    assert relation_texts(RELATION) == RelationTexts(
        description="founded by: who started it",
        head="the entity types including company, school and club",
        tail="the entity types including person",
    )


@pytest.mark.parametrize(
    "argument, words",
    [
        (Argument(terms=("founder",)), "founder"),
        (Argument(terms=("founder", "owner")), "founder and owner"),
        (Argument(types=("PERSON", "ORG")), "person and organisation"),
        (Argument(types=("PERSON",), terms=("founder",)), "founder"),
        (Argument(types=("CHEMICAL_COMPOUND",)), "chemical compound"),
        (Argument(), "thing"),
    ],
)
def test_words_for_an_end(argument: Argument, words: str) -> None:
    assert relation_texts(replace(RELATION, head=argument)).head == f"the entity types including {words}"


@pytest.mark.parametrize("entity_type", SPACY_TYPES)
def test_every_type_of_spacy_has_words(entity_type: str) -> None:
    text = relation_texts(replace(RELATION, tail=Argument((entity_type,)))).tail
    assert text == f"the entity types including {SPACY_TYPES[entity_type]}"


def test_fingerprint_is_the_same_everywhere() -> None:
    # Kept vectors are found under it, so a new value here makes every cache go stale.
    assert relation_fingerprint(RELATION) == "086f52119edd7ed34e0dd12202912021a5cecef81451f276750dc37d1c24d1fd"


@pytest.mark.parametrize(
    "other",
    [
        replace(RELATION, name="founder"),
        replace(RELATION, description="who began it"),
        replace(RELATION, head=Argument(terms=("company",))),
        replace(RELATION, tail=RELATION.head, head=RELATION.tail),
    ],
)
def test_fingerprint_changes_with_a_text(other: Relation) -> None:
    assert relation_fingerprint(other) != relation_fingerprint(RELATION)


def test_fingerprint_ignores_what_is_not_encoded() -> None:
    other = replace(RELATION, id="x", threshold=0.9, head=replace(RELATION.head, types=("GPE",)), inverse="y")
    assert relation_fingerprint(other) == relation_fingerprint(RELATION)
