"""Read DocRED's format, as Re-DocRED has it: documents whose entities, with all of their mentions, are related.

Labels belong to pairs of entities in a document. Here they become labels of pairs of mentions in one sentence:
every ordered pair of mentions of different entities is decided on, except for the relations that the document
holds for the two entities without naming this sentence as evidence. Whether this sentence states those is
unknown, so they are neither stated nor looked for. All entities are marked, so a sentence is complete.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Final

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.reader_record import Record, TokenisedBuilder, listed_records
from zsre.relations.reader_source import Place

#: DocRED's entity types as zsre reads them. Its LOC holds countries and cities as well as rivers, so it becomes the
#: broad type PLACE (see `BROAD_TYPES`), which fits wherever GPE, LOC or FAC does.
DOCRED_TYPES: Final[Mapping[str, str]] = {
    "PER": "PERSON",
    "ORG": "ORG",
    "LOC": "PLACE",
    "TIME": "DATE",
    "NUM": "NUM",
    "MISC": "MISC",
}


def is_redocred(first: object) -> bool:
    """Tell whether the first record of a file is a DocRED document."""
    return isinstance(first, dict) and {"sents", "vertexSet"} <= first.keys()


def read_redocred(path: Path) -> Iterator[LabelledSentence]:
    """Yield every sentence of every document of a file in DocRED's format."""
    documents = listed_records(path, "document")
    relations = frozenset(label.string("r") for document in documents for label in document.records("labels"))
    for document in documents:
        yield from _sentences(document, relations)


@dataclass(frozen=True, slots=True)
class _Labels:
    """What a document says about ordered pairs of its entities: each relation with its evidence sentences."""

    evidence: Mapping[tuple[int, int], Mapping[str, Set[int]]]
    relations: frozenset[str]

    def decide(self, head: int, tail: int, sentence: int) -> tuple[Set[str], Set[str]]:
        """Return the relations that a sentence states for two entities, and those it may or may not state."""
        held = self.evidence.get((head, tail), {})
        stated = {relation for relation, sentences in held.items() if sentence in sentences}
        return stated, held.keys() - stated


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence under way; a mention whose span two entities share belongs to both."""

    builder: TokenisedBuilder
    entities: dict[int, set[int]]


def _sentences(document: Record, relations: frozenset[str]) -> Iterator[LabelledSentence]:
    title = document.string("title")
    labels = _read_labels(document, relations)
    for number, sentence in enumerate(_read_mentions(document)):
        yield sentence.builder.build(f"{title}/{number}", "redocred", _pairs(sentence, number, labels), relations)


def _read_labels(document: Record, relations: frozenset[str]) -> _Labels:
    evidence: dict[tuple[int, int], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    entities = len(document.list("vertexSet"))
    for label in document.records("labels"):
        head, tail = (_checked(label, end, entities, "entity") for end in ("h", "t"))
        evidence[head, tail][label.string("r")].update(label.integers("evidence"))
    return _Labels(evidence, relations)


def _read_mentions(document: Record) -> list[_Sentence]:
    """Return the sentences of a document with their mentions."""
    sentences = []
    for number in range(len(document.list("sents"))):
        place = Place(document.place.file, f"{document.place.where} sentence {number}")
        sentences.append(_Sentence(TokenisedBuilder(document.strings("sents", number), place), defaultdict(set)))
    for entity in range(len(document.list("vertexSet"))):
        for mention in document.records("vertexSet", entity):
            sentence = sentences[_checked(mention, "sent_id", len(sentences), "sentence")]
            span = mention.span("pos")
            index = sentence.builder.token_mention(*span, _entity_type(mention), mention.path("pos"))
            sentence.entities[index].add(entity)
    return sentences


def _pairs(sentence: _Sentence, number: int, labels: _Labels) -> Iterator[LabelledPair]:
    """Yield every ordered pair of mentions of different entities that don't overlap."""
    mentions = sentence.builder.mentions
    for head, tail in permutations(range(len(mentions)), 2):
        heads, tails = sentence.entities[head], sentence.entities[tail]
        if heads & tails or mentions[head].overlaps(mentions[tail]):
            continue
        stated: set[str] = set()
        unsure: set[str] = set()
        for entities in product(heads, tails):
            states, may_state = labels.decide(*entities, number)
            stated |= states
            unsure |= may_state
        unsure -= stated
        yield LabelledPair(head, tail, frozenset(stated), labels.relations - unsure if unsure else None)


def _entity_type(mention: Record) -> str:
    type = mention.string("type")
    if type not in DOCRED_TYPES:
        raise mention.error("type", f'"{type}" is no entity type of DocRED; those are {", ".join(DOCRED_TYPES)}')
    return DOCRED_TYPES[type]


def _checked(record: Record, key: str, count: int, what: str) -> int:
    """Return an index into a list of ``count`` things."""
    index = record.integer(key)
    if not 0 <= index < count:
        raise record.error(key, f"there is no {what} {index} in a document that has {count}, counted from 0")
    return index
