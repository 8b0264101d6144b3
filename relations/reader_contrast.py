"""Read contrast pairs: two sentences of the same words and entities, of which only one states the relation.

One JSON object a line, ``{"relation", "kind", "states", "silent"}``. In both sentences the head is written ``[h|Ada]``
and the tail ``[t|Acme]``, once each; ``kind`` says how the silent sentence comes not to state it, as in ``negation``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.marked_text import read_marked
from zsre.relations.reader_record import Record, json_records
from zsre.relations.reader_source import file_stem


@dataclass(frozen=True, slots=True)
class ContrastPair:
    """A sentence that states ``relation`` and one that doesn't; each has one pair, of head and tail."""

    relation: str
    kind: str
    states: LabelledSentence
    silent: LabelledSentence


def is_contrast(first: object) -> bool:
    """Tell whether the first record of a file is a contrast pair."""
    return isinstance(first, dict) and {"states", "silent"} <= first.keys()


def read_contrast_pairs(path: Path) -> Iterator[ContrastPair]:
    """Yield the pairs of a file."""
    for number, record in json_records(path):
        relation = record.string("relation")
        states, silent = (
            _sentence(record, field, stated, f"{file_stem(path)}/{number}/{field}")
            for field, stated in (("states", frozenset({relation})), ("silent", frozenset[str]()))
        )
        yield ContrastPair(relation, record.string("kind"), states, silent)


def read_contrast(path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences of a file; nothing is known of a pair but whether it states the one relation."""
    for pair in read_contrast_pairs(path):
        yield pair.states
        yield pair.silent


def _sentence(record: Record, field: str, stated: frozenset[str], id: str) -> LabelledSentence:
    """Return the sentence of a field, without its marks."""
    text = read_marked(record, field)
    if text.others:
        raise record.error(field, "another entity is marked as [o|…]; a contrast pair has a head and a tail alone")
    pair = LabelledPair(text.head, text.tail, stated, frozenset({record.string("relation")}))
    return text.builder.build(id, "contrast", [pair])
