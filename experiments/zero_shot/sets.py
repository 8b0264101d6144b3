"""The labelled texts that triples are measured on, and what of their labels counts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from zsre.relations.catalogue import load_relations
from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.pronouns import without_pronouns
from zsre.relations.readers import read_labelled
from zsre.relations.relation import RelationSet
from zsre.runner.evaluate import sentence_key
from zsre.runner.flags import Entities
from zsre.runner.gold import decided_relations
from zsre.trainer.config import find_data

Gold = Literal["evidence", "labels"]
REDOCRED_TEST: Final = "redocred/test.json.gz"
REDOCRED_DEV: Final = "redocred/dev.json.gz"
KNOWLEDGENET: Final = "knowledgenet/passages.json.gz"
#: Words that a sentence in a text must have to be told from others: "He won." stands in many.
_TELLING: Final = 6
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class TextSet:
    """Labelled texts, the relations to look for in them, and whose mentions are paired.

    ``decided`` are the relations that the data set decided on; ``left_out`` counts facts that are not measured, by the
    reason, and ``shared`` texts that are not, because a model was trained on them.
    """

    name: str
    texts: Sequence[LabelledSentence]
    relations: RelationSet
    entities: Entities
    decided: frozenset[str]
    left_out: dict[str, int] = field(default_factory=dict)
    shared: int = 0


def redocred(path: str, gold: Gold, entities: Entities) -> TextSet:
    """Return the sentences of Re-DocRED.

    Gold ``labels`` takes every label of two entities for stated wherever a sentence mentions both, as distant
    supervision does. Gold ``evidence`` takes it only where the sentence is among the label's evidence, and elsewhere
    for undecided.
    """
    texts = list(read_labelled(find_data(path)))
    decided = decided_relations(texts)
    if gold == "labels":
        texts = [with_all_labels(text, decided) for text in texts]
    stem = path.partition("/")[2].partition(".")[0]
    return TextSet(f"redocred-{stem}-{gold}-{entities}", texts, described(decided), entities, decided)


def knowledgenet(entities: Entities) -> TextSet:
    """Return the passages of KnowledgeNet, without facts one of whose arguments is a pronoun."""
    given = list(read_labelled(find_data(KNOWLEDGENET)))
    texts = [without_pronouns(text) for text in given]
    decided = decided_relations(given)
    left_out = {"a pronoun for an argument": count_facts(given) - count_facts(texts)}
    return TextSet(f"knowledgenet-{entities}", texts, described(decided), entities, decided, left_out)


def without_shared(text_set: TextSet, trained: Collection[bytes]) -> TextSet:
    """Leave out texts that share a sentence with those whose `trained_keys` are given."""
    texts = [text for text in text_set.texts if not shares_sentence(text.text, trained)]
    return replace(text_set, texts=texts, shared=len(text_set.texts) - len(texts))


def shares_sentence(text: str, trained: Collection[bytes]) -> bool:
    """Tell whether a text, or one of its sentences, is among those that models were trained on."""
    return any(key in trained for key in _keys(text))


def trained_keys(texts: Iterable[LabelledSentence]) -> frozenset[bytes]:
    """Return what texts, and the sentences in them, have in common with their copies elsewhere."""
    return frozenset(key for text in texts for key in _keys(text.text))


def _keys(text: str) -> Iterator[bytes]:
    yield sentence_key(text)
    yield from (sentence_key(own) for own in _SENTENCE_END.split(text) if len(own.split()) >= _TELLING)


def with_all_labels(text: LabelledSentence, decided: frozenset[str]) -> LabelledSentence:
    """Return a text of Re-DocRED in which a label without evidence counts as stated."""
    return replace(text, pairs=tuple(_all_stated(pair, decided) for pair in text.pairs))


def described(ids: Iterable[str]) -> RelationSet:
    """Return those of the relations that the catalogue describes, in its order."""
    catalogue, wanted = load_relations("wikidata"), frozenset(ids)
    return replace(catalogue, relations=tuple(relation for relation in catalogue if relation.id in wanted))


def count_facts(texts: Iterable[LabelledSentence]) -> int:
    """Count what pairs state."""
    return sum(len(pair.relations) for text in texts for pair in text.pairs)


def _all_stated(pair: LabelledPair, decided: frozenset[str]) -> LabelledPair:
    if pair.looked_for is None:
        return pair
    return replace(pair, relations=pair.relations | (decided - pair.looked_for), looked_for=None)
