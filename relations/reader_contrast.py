"""Read contrast pairs: two sentences of the same words and entities, of which only one states the relation.

One JSON object a line, ``{"relation", "kind", "states", "silent"}``. In both sentences the head is written ``[h|Ada]``
and the tail ``[t|Acme]``, once each; ``kind`` says how the silent sentence comes not to state it, as in ``negation``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.reader_record import Record, SentenceBuilder, json_records
from zsre.relations.reader_source import file_stem

_MARKED: Final = re.compile(r"\[([hto])\|([^\[\]|]+)\]")


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


def unmark(marked: str) -> tuple[str, dict[str, list[tuple[int, int]]]]:
    """Return a sentence without its marks, and where each kind of mark stood: code points ``text[start:end]``."""
    pieces: list[str] = []
    spans: dict[str, list[tuple[int, int]]] = {"h": [], "t": [], "o": []}
    position = length = 0
    for match in _MARKED.finditer(marked):
        end, name = match.groups()
        pieces += [marked[position : match.start()], name]
        length += match.start() - position + len(name)
        spans[end].append((length - len(name), length))
        position = match.end()
    return "".join([*pieces, marked[position:]]), spans


def _sentence(record: Record, field: str, stated: frozenset[str], id: str) -> LabelledSentence:
    """Return the sentence of a field, without its marks."""
    text, spans = unmark(record.string(field))
    for end, what in (("h", "head"), ("t", "tail")):
        if not spans[end]:
            raise record.error(field, f"the {what} is not marked; write it as [{end}|…]")
        if len(spans[end]) > 1:
            raise record.error(field, f"there is more than one [{end}|…]; mark each end once")
    if spans["o"]:
        raise record.error(field, "another entity is marked as [o|…]; a contrast pair has a head and a tail alone")
    builder = SentenceBuilder(text, record.place)
    head, tail = (builder.mention(*spans[end][0], None, field) for end in ("h", "t"))
    return builder.build(id, "contrast", [LabelledPair(head, tail, stated, frozenset({record.string("relation")}))])
