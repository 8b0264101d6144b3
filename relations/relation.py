"""Relations as the rest of zsre sees them: immutable, checked once, free of any file format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

#: Entity types of spaCy's English pipelines (OntoNotes 5), with the word that stands for each in a text.
SPACY_TYPES: Final[dict[str, str]] = {
    "CARDINAL": "number",
    "DATE": "date",
    "EVENT": "event",
    "FAC": "building or facility",
    "GPE": "country, city or state",
    "LANGUAGE": "language",
    "LAW": "law",
    "LOC": "location",
    "MONEY": "amount of money",
    "NORP": "nationality, religious or political group",
    "ORDINAL": "ordinal",
    "ORG": "organisation",
    "PERCENT": "percentage",
    "PERSON": "person",
    "PRODUCT": "product",
    "QUANTITY": "quantity",
    "TIME": "time",
    "WORK_OF_ART": "work of art",
}


#: Types of coarser schemes (CoNLL, DocRED), each with the types that it may stand for. Entities that are given
#: with one of these fit wherever one of its types does.
BROAD_TYPES: Final[dict[str, frozenset[str]]] = {
    "PER": frozenset({"PERSON"}),
    "PLACE": frozenset({"GPE", "LOC", "FAC"}),
    "NUM": frozenset({"CARDINAL", "ORDINAL", "PERCENT", "MONEY", "QUANTITY"}),
    "MISC": frozenset({"EVENT", "LANGUAGE", "LAW", "NORP", "PRODUCT", "WORK_OF_ART"}),
}


def understood_types(labels: Iterable[str]) -> frozenset[str]:
    """Return the types that relations may name for entities of these labels: themselves, and what they stand for."""
    known = frozenset(labels)
    return known.union(*(BROAD_TYPES.get(label, frozenset()) for label in known))


@dataclass(frozen=True, slots=True)
class Argument:
    """One end of a relation: the entity types allowed there (none given: any) and words for what stands there."""

    types: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()

    def allows(self, entity_type: str | None) -> bool:
        """Tell whether an entity of this type may stand here; an untyped entity may stand anywhere."""
        if not self.types or entity_type is None or entity_type in self.types:
            return True
        return not BROAD_TYPES.get(entity_type, frozenset()).isdisjoint(self.types)


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation to look for.

    ``threshold`` is the least calibrated score, in [0, 1], at which a triple is written; ``None`` leaves it
    to the run. ``inverse`` is the id of the relation that reads the other way round.
    """

    id: str
    name: str
    description: str
    head: Argument = Argument()
    tail: Argument = Argument()
    threshold: float | None = None
    symmetric: bool = False
    inverse: str | None = None

    def allows(self, head_type: str | None, tail_type: str | None) -> bool:
        """Tell whether the types of a pair of entities fit this relation in this order."""
        return self.head.allows(head_type) and self.tail.allows(tail_type)


@dataclass(frozen=True, slots=True)
class OwnCalibration:
    """A calibration on someone's own text: score = σ(slope · similarity + intercept).

    ``model`` is the fingerprint of the model that it holds for.
    """

    model: str
    slope: float
    intercept: float


@dataclass(frozen=True)
class RelationSet:
    """The relations of one file or catalogue, in the order in which they were written.

    ``types`` are entity types that the file declares beyond those of the entity pipeline. ``source`` says
    where the set came from, for messages and ``run.json``. ``type_lines`` gives the line of ``source`` on which
    an entity type stands, by relation id, end (``head`` or ``tail``) and type; it is empty for a set that no
    file was read for. ``calibration`` takes the place of the model's, if the file has one. Ids are unique; readers
    check that first.
    """

    relations: tuple[Relation, ...]
    types: tuple[str, ...] = ()
    source: str = ""
    type_lines: Mapping[tuple[str, str, str], int] = field(default_factory=dict, repr=False, compare=False)
    calibration: OwnCalibration | None = None
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {relation.id: position for position, relation in enumerate(self.relations)}
        assert len(index) == len(self.relations), "relation ids must be unique"
        object.__setattr__(self, "_index", index)

    def __iter__(self) -> Iterator[Relation]:
        return iter(self.relations)

    def __len__(self) -> int:
        return len(self.relations)

    def __getitem__(self, relation_id: str) -> Relation:
        return self.relations[self._index[relation_id]]

    def __contains__(self, relation_id: object) -> bool:
        return relation_id in self._index

    def index(self, relation_id: str) -> int:
        """Return the position of a relation in the set; raise ``KeyError`` for an unknown id."""
        return self._index[relation_id]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Return the ids in order."""
        return tuple(relation.id for relation in self.relations)


def without_terms(relation: Relation) -> Relation:
    """Return the relation as someone writes it who names the types of its ends and no terms."""
    return replace(relation, head=Argument(relation.head.types), tail=Argument(relation.tail.types))


def without_ends(relation: Relation) -> Relation:
    """Return the relation as someone writes it who names neither terms nor types."""
    return replace(relation, head=Argument(), tail=Argument())
