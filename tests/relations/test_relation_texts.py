from __future__ import annotations

from dataclasses import replace

import pytest

from zsre.relations.relation import SPACY_TYPES, Argument, Relation
from zsre.relations.relation_texts import RelationTexts, relation_texts

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
