"""How a relation becomes the three texts that the relation encoder reads (eqs. 5–7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zsre.relations.relation import SPACY_TYPES, Argument, Relation


@dataclass(frozen=True, slots=True)
class RelationTexts:
    """The texts of one relation: its description with its name, and what stands at its head and at its tail."""

    description: str
    head: str
    tail: str


def relation_texts(relation: Relation) -> RelationTexts:
    """Return the texts that a relation is encoded from."""
    return RelationTexts(
        description=f"{relation.name}: {relation.description}",
        head=_argument_text(relation.head),
        tail=_argument_text(relation.tail),
    )


def _argument_text(argument: Argument) -> str:
    words = argument.terms or [_type_words(entity_type) for entity_type in argument.types] or ["thing"]
    return f"the entity types including {_enumerate(words)}"


def _type_words(entity_type: str) -> str:
    """Return words for an entity type; one that spaCy doesn't have is taken at its name."""
    return SPACY_TYPES.get(entity_type) or entity_type.replace("_", " ").lower()


def _enumerate(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
