"""Records of the corpora, made of labelled sentences in an order that is always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, TypeVar

from zsre.relations.examples import LabelledSentence, Mention
from zsre.runner.pairing import folded, pair_mentions

MAX_MENTIONS: Final = 40
Record = dict[str, Any]
#: Tells whether a stretch of text, with the mentions in it, goes on no further.
Complete = Callable[["Stretch"], bool]
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Passage:
    """A document: sentences that stand together."""

    id: str
    sentences: tuple[LabelledSentence, ...]


@dataclass(frozen=True)
class Stretch:
    """Neighbouring sentences read as one, with all of their mentions."""

    id: str
    text: str
    mentions: tuple[Mention, ...]

    def and_then(self, sentence: LabelledSentence) -> Stretch:
        """Return the stretch with one more sentence at its end."""
        shift = len(self.text) + 1
        moved = (replace(own, start=own.start + shift, end=own.end + shift) for own in sentence.mentions)
        return Stretch(self.id, f"{self.text} {sentence.text}", (*self.mentions, *moved))


def distinct(sentences: Iterable[LabelledSentence]) -> list[LabelledSentence]:
    """Return the first sentence of each text."""
    first: dict[str, LabelledSentence] = {}
    for sentence in sentences:
        first.setdefault(sentence.text, sentence)
    return list(first.values())


def shuffled(things: Iterable[Thing], name: Callable[[Thing], str]) -> list[Thing]:
    """Return things in an order that has nothing to do with where they come from."""
    return sorted(things, key=lambda thing: hashlib.sha256(name(thing).encode()).digest())


def joined(sentences: Sequence[LabelledSentence], size: int) -> Iterator[Passage]:
    """Yield documents of ``size`` sentences that have nothing to do with each other."""
    for start in range(0, len(sentences), size):
        chosen = tuple(sentences[start : start + size])
        yield Passage(f"{chosen[0].source}/{chosen[0].id}", chosen)


def text_records(passages: Iterable[Passage]) -> Iterator[Record]:
    """Yield documents without entities."""
    for passage in shuffled(passages, lambda own: own.id):
        text = " ".join(sentence.text for sentence in passage.sentences)
        yield {"id": passage.id, "text": text, "sentences": len(passage.sentences)}


def sentence_records(sentences: Iterable[LabelledSentence]) -> Iterator[Record]:
    """Yield sentences as documents of their own."""
    for sentence in shuffled(sentences, lambda own: own.text):
        yield {"id": f"{sentence.source}/{sentence.id}", "text": sentence.text, "sentences": 1}


def given_records(passages: Iterable[Passage]) -> Iterator[Record]:
    """Yield the sentences that have a pair, each a document, with entities and pairs."""
    sentences = distinct(chain.from_iterable(passage.sentences for passage in passages))
    stretches = (Stretch(own.id, own.text, own.mentions) for own in sentences)
    return (record for record in stretch_records(stretches) if record["pairs"])


def dense_records(
    passages: Iterable[Passage], count_tokens: Callable[[str], int], entities: int, most: int
) -> Iterator[Record]:
    """Yield text with just so many entities given, all different: a sentence that has them, or neighbours together.

    It has no more than ``most`` tokens, so that a model reads it at once.
    """
    found = stretches(passages, lambda stretch: len(different(stretch)) >= entities)
    short = (stretch for stretch in found if count_tokens(stretch.text) <= most)
    return stretch_records(replace(stretch, mentions=different(stretch)[:entities]) for stretch in short)


def long_records(
    passages: Iterable[Passage], count_tokens: Callable[[str], int], least: int, most: int
) -> Iterator[Record]:
    """Yield neighbouring sentences joined into one of ``least`` to ``most`` tokens, of all lengths between."""

    def long_enough(stretch: Stretch) -> bool:
        spread = int(hashlib.sha256(stretch.id.encode()).hexdigest(), 16) % (most - least)
        return count_tokens(stretch.text) >= least + spread * 3 // 4

    found = stretches(passages, long_enough)
    return stretch_records(stretch for stretch in found if count_tokens(stretch.text) <= most)


def stretches(passages: Iterable[Passage], complete: Complete) -> Iterator[Stretch]:
    """Yield neighbouring sentences joined until they are complete; what is left at a document's end is dropped."""
    for passage in passages:
        open_stretch: Stretch | None = None
        for sentence in passage.sentences:
            if open_stretch is None:
                open_stretch = Stretch(sentence.id, sentence.text, sentence.mentions)
            else:
                open_stretch = open_stretch.and_then(sentence)
            if complete(open_stretch):
                yield open_stretch
                open_stretch = None


def different(stretch: Stretch) -> tuple[Mention, ...]:
    """Return mentions in text order that neither overlap nor read alike."""
    chosen: list[Mention] = []
    names: set[str] = set()
    for mention in sorted(stretch.mentions, key=lambda own: (own.start, own.end)):
        name = folded(stretch.text[mention.start : mention.end])
        if name not in names and not any(mention.overlaps(other) for other in chosen):
            names.add(name)
            chosen.append(mention)
    return tuple(chosen)


def stretch_records(found: Iterable[Stretch]) -> Iterator[Record]:
    """Yield records with entities, and with the pairs of those that are scored when no type rules any out."""
    for stretch in shuffled(found, lambda own: f"{own.id} {own.text}"):
        paired = pair_mentions(stretch.text, stretch.mentions, MAX_MENTIONS, lambda head, tail: True)
        yield {
            "id": stretch.id,
            "text": stretch.text,
            "entities": [{"start": own.start, "end": own.end, "label": own.type or "MISC"} for own in paired.mentions],
            "pairs": [list(pair) for pair in paired.pairs],
        }
