"""Sentences with their entities marked: ``[h|Ada]`` the head, ``[t|Acme]`` the tail, ``[o|Paris]`` any other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from zsre.relations.reader_record import Record, SentenceBuilder

_MARK: Final = re.compile(r"\[([hto])\|([^\[\]|]+)\]")


@dataclass(frozen=True)
class MarkedText:
    """A sentence without its marks; ``head``, ``tail`` and ``others`` are indices of the builder's mentions."""

    builder: SentenceBuilder
    head: int
    tail: int
    others: tuple[int, ...]


def read_marked(record: Record, field: str) -> MarkedText:
    """Return the sentence of a field; raise DataError unless head and tail are marked once each."""
    marked = record.string(field)
    pieces: list[str] = []
    spans: dict[str, list[tuple[int, int]]] = {"h": [], "t": [], "o": []}
    position = length = 0
    for match in _MARK.finditer(marked):
        kind, name = match.groups()
        pieces += [marked[position : match.start()], name]
        length += match.start() - position + len(name)
        spans[kind].append((length - len(name), length))
        position = match.end()
    for kind, what in (("h", "head"), ("t", "tail")):
        if not spans[kind]:
            raise record.error(field, f"the {what} is not marked; write it as [{kind}|…]")
        if len(spans[kind]) > 1:
            raise record.error(field, f"there is more than one [{kind}|…]; mark each end once")
    builder = SentenceBuilder("".join([*pieces, marked[position:]]), record.place)
    head, tail, *others = (builder.mention(*span, None, field) for span in (*spans["h"], *spans["t"], *spans["o"]))
    return MarkedText(builder, head, tail, tuple(others))
