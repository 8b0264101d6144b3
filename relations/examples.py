"""Labelled sentences: one form for every data set, so that training and measuring read them all alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention of an entity: code points ``text[start:end]`` of its sentence, and its type if one is known."""

    start: int
    end: int
    type: str | None = None

    def overlaps(self, other: Mention) -> bool:
        """Tell whether the two spans share a character."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """An ordered pair of mentions and what is known about it.

    ``head`` and ``tail`` index the sentence's mentions. ``relations`` holds the ids that the sentence
    states for the pair; it is empty for a pair known to have none. ``looked_for`` are the ids that an
    annotator decided on, so that an id in ``looked_for`` but not in ``relations`` is a true negative;
    ``None`` means every relation of the data set.
    """

    head: int
    tail: int
    relations: frozenset[str]
    looked_for: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class LabelledSentence:
    """A sentence (or passage) with its mentions and the pairs of them that carry a decision.

    ``source`` names the data set, as in ``fewrel``; ``id`` is unique within it. ``complete`` are the relation ids that
    every pair of entities in the text was decided on: a pair that is not listed has none of them. For a relation that
    is not among them, nothing is known of a pair that is not listed.
    """

    id: str
    source: str
    text: str
    mentions: tuple[Mention, ...]
    pairs: tuple[LabelledPair, ...]
    complete: frozenset[str] = frozenset()
