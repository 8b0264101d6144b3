"""Which triples labelled text bears out: every triple is right, wrong, or one that nobody decided on.

Mentions count as equal if they overlap. A fact counts once, whichever way round it is written: a symmetric relation
has no direction, and a relation says the same as its inverse with head and tail swapped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.relation import RelationSet
from zsre.runner.rules import swap_partners

#: Code points from start to end, end exclusive.
Span = tuple[int, int]


class Verdict(StrEnum):
    """What labelled text says of a triple."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "open"


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """What a text states: a relation, by its place in the file, between two of its mentions, by theirs.

    Of the ways to write a fact it is the one whose relation comes first in the file, then the one whose head comes
    first among the mentions.
    """

    relation: int
    head: int
    tail: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on a triple, with the facts of its text that it states: none unless it is right.

    ``labels`` are those of `Gold.labels` that speak of this triple.
    """

    verdict: Verdict
    facts: frozenset[Fact] = frozenset()
    labels: frozenset[Fact] = frozenset()


def decided_relations(sentences: Iterable[LabelledSentence]) -> frozenset[str]:
    """Return the relations that somebody decided on somewhere: what ``looked_for=None`` stands for."""
    found: set[str] = set()
    for sentence in sentences:
        found |= sentence.complete
        for pair in sentence.pairs:
            found |= pair.relations
            found |= pair.looked_for or frozenset()
    return frozenset(found)


class Gold:
    """A labelled text, read as answers about the relations of a file.

    ``everything`` are the relations that the data set decided on (see `decided_relations`).
    """

    def __init__(self, sentence: LabelledSentence, relations: RelationSet, everything: frozenset[str]) -> None:
        self.sentence = sentence
        self._relations = relations
        self._partners = swap_partners(relations)
        self._everything = everything
        self._labels: Mapping[tuple[int, int], Sequence[LabelledPair]] = _by_ends(sentence.pairs)
        self.facts = frozenset(
            self._fact(relations.index(relation), pair.head, pair.tail)
            for pair in sentence.pairs
            for relation in pair.relations
            if relation in relations
        )

    @property
    def labels(self) -> frozenset[Fact]:
        """Return what pairs of the text state or deny by name, for relations of the file: facts, and such as are none.

        A pair that was looked at for all relations of the data set denies none by name.
        """
        return frozenset(
            self._fact(self._relations.index(relation), pair.head, pair.tail)
            for pair in self.sentence.pairs
            for relation in pair.relations | (pair.looked_for or frozenset())
            if relation in self._relations
        )

    def judge(self, relation_id: str, head: Span, tail: Span) -> Judgement:
        """Judge a triple by the pairs whose mentions overlap its own.

        It is right if one of them states it. It is open if one of them was not decided on, or if there is none and
        the text is not complete for the relation. Else it is wrong.
        """
        relation = self._relations.index(relation_id)
        heads, tails = self._overlapping(head), self._overlapping(tail)
        facts: set[Fact] = set()
        labels: set[Fact] = set()
        complete = decided = left_open = False
        for way, (first, second) in self._ways(relation, heads, tails):
            name = self._relations.ids[way]
            complete |= name in self.sentence.complete
            for ends in product(first, second):
                for pair in self._labels.get(ends, ()):
                    if name in pair.relations or name in (pair.looked_for or ()):
                        labels.add(self._fact(way, *ends))
                    if name in pair.relations:
                        facts.add(self._fact(way, *ends))
                    elif name in (self._everything if pair.looked_for is None else pair.looked_for):
                        decided = True
                    elif name in self._everything:
                        left_open = True
        if facts:
            return Judgement(Verdict.RIGHT, frozenset(facts), frozenset(labels))
        open_still = left_open or not (decided or complete)
        return Judgement(Verdict.OPEN if open_still else Verdict.WRONG, labels=frozenset(labels))

    def within_reach(self, candidates: Iterable[tuple[Span, Span]]) -> frozenset[Fact]:
        """Return the facts whose two mentions are overlapped by the ends of one of these pairs, in either order."""
        found: set[tuple[int, int]] = set()
        for one, other in candidates:
            found.update(product(self._overlapping(one), self._overlapping(other)))
        return frozenset(fact for fact in self.facts if {(fact.head, fact.tail), (fact.tail, fact.head)} & found)

    def _overlapping(self, span: Span) -> list[int]:
        wanted = Mention(*span)
        return [index for index, mention in enumerate(self.sentence.mentions) if mention.overlaps(wanted)]

    def _ways(self, relation: int, heads: list[int], tails: list[int]) -> Iterator[tuple[int, tuple[list[int], ...]]]:
        """Yield the ways to write a fact: as it is, and with head and tail swapped where that says the same."""
        yield relation, (heads, tails)
        for partner in self._partners[relation]:
            yield partner, (tails, heads)

    def _fact(self, relation: int, head: int, tail: int) -> Fact:
        swapped = (Fact(partner, tail, head) for partner in self._partners[relation])
        return min((Fact(relation, head, tail), *swapped))


def _by_ends(pairs: Iterable[LabelledPair]) -> dict[tuple[int, int], list[LabelledPair]]:
    found: defaultdict[tuple[int, int], list[LabelledPair]] = defaultdict(list)
    for pair in pairs:
        found[pair.head, pair.tail].append(pair)
    return dict(found)
