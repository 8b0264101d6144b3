"""Read the text format of SemEval-2010 Task 8: a numbered, marked sentence, its label, a comment.

Every sentence has one of nine directed relations between its two nominals, or ``Other``: none of the nine in
either order. A relation the one way round is not stated the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.reader_record import SentenceBuilder
from zsre.relations.reader_source import Place, numbered_lines

#: The nine relations; ``Cause-Effect`` has the cause as its head, and so on in the order of the name.
SEMEVAL_RELATIONS: Final = frozenset(
    {
        "Cause-Effect",
        "Component-Whole",
        "Content-Container",
        "Entity-Destination",
        "Entity-Origin",
        "Instrument-Agency",
        "Member-Collection",
        "Message-Topic",
        "Product-Producer",
    }
)
_SENTENCE: Final = re.compile(r'\s*(\d+)\s+"?(.*?)"?\s*')
_LABEL: Final = re.compile(r"\s*([A-Z][a-z]+-[A-Z][a-z]+)\((e1,e2|e2,e1)\)\s*")
_MARKED: Final = re.compile(r"(.*?)<e1>(.+?)</e1>(.*?)<e2>(.+?)</e2>(.*)")


def is_semeval(first: object) -> bool:
    """Tell whether the first line of a file is a numbered sentence with its nominals marked."""
    return isinstance(first, str) and bool(_SENTENCE.fullmatch(first)) and "<e1>" in first


def read_semeval(path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences of a file, without their marks and the quotes around them."""
    lines = ((number, line) for number, line in numbered_lines(path) if _counts(line))
    for number, line in lines:
        place = Place(str(path), f"line {number}")
        sentence = _SENTENCE.fullmatch(line)
        marked = _MARKED.fullmatch(sentence[2]) if sentence else None
        if sentence is None or marked is None:
            raise place.error(f'{line[:60]!r} is no sentence; it should read 12<TAB>"The <e1>…</e1> … <e2>…</e2> …"')
        _, label = next(lines, (number, ""))
        before, first, between, second, after = marked.groups()
        builder = SentenceBuilder(f"{before}{first}{between}{second}{after}", place)
        e1 = builder.mention(len(before), len(before) + len(first), None, "e1")
        start = len(before) + len(first) + len(between)
        e2 = builder.mention(start, start + len(second), None, "e2")
        yield builder.build(sentence[1], "semeval", _pairs(label.strip(), e1, e2, place))


def _pairs(label: str, e1: int, e2: int, place: Place) -> tuple[LabelledPair, LabelledPair]:
    """Return the two orders of the nominals, each with what the label says about it."""
    if label == "Other":
        none: frozenset[str] = frozenset()
        return LabelledPair(e1, e2, none, SEMEVAL_RELATIONS), LabelledPair(e2, e1, none, SEMEVAL_RELATIONS)
    directed = _LABEL.fullmatch(label)
    if directed is None or directed[1] not in SEMEVAL_RELATIONS:
        raise place.error(
            f'"{label}" after this sentence is no label; give Other or a relation with its direction, such as '
            f"Cause-Effect(e1,e2), of {', '.join(sorted(SEMEVAL_RELATIONS))}"
        )
    head, tail = (e1, e2) if directed[2] == "e1,e2" else (e2, e1)
    relation = frozenset({directed[1]})
    return LabelledPair(head, tail, relation, SEMEVAL_RELATIONS), LabelledPair(tail, head, frozenset(), relation)


def _counts(line: str) -> bool:
    """Tell whether a line is a sentence or a label: neither blank nor a comment."""
    return bool(line.strip()) and not line.startswith("Comment")
