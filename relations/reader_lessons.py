"""Read lessons: sentences written to teach relations, each of which states its relation or talks of it in vain.

One JSON object a line, ``{"relation", "states"}`` or ``{"relation", "silent"}``. The head is written ``[h|Ada]``, the
tail ``[t|Acme]``, once each, and further entities ``[o|Paris]``. With ``"symmetric": true`` tail and head state the
relation as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.marked_text import read_marked
from zsre.relations.reader_record import Record, json_records
from zsre.relations.reader_source import file_stem


def is_lessons(first: object) -> bool:
    """Tell whether the first record of a file is a lesson."""
    return isinstance(first, dict) and "relation" in first and ("states" in first) != ("silent" in first)


def read_lessons(path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences of a file, each with what is known of its pairs.

    What states a relation states no other of the file. A pair with another entity doesn't state the sentence's
    relation, nor does what is silent from head to tail. From tail to head, a silent sentence may say it.
    """
    for number, record in json_records(path):
        if ("states" in record) == ("silent" in record):
            raise record.error("states", "a lesson states its relation or is silent: give one of 'states', 'silent'")
        yield _sentence(record, f"{file_stem(path)}/{number}")


def _sentence(record: Record, id: str) -> LabelledSentence:
    states = "states" in record
    text = read_marked(record, "states" if states else "silent")
    head, tail = text.head, text.tail
    relation = frozenset({record.string("relation")})
    symmetric = "symmetric" in record and record.boolean("symmetric")
    stated = {(head, tail), (tail, head)} if symmetric else {(head, tail)}
    pairs = []
    for pair in permutations((head, tail, *text.others), 2):
        if states and pair in stated:
            pairs.append(LabelledPair(*pair, relation))
        elif states or pair != (tail, head):
            pairs.append(LabelledPair(*pair, frozenset(), relation))
    return text.builder.build(id, "lessons", pairs)
