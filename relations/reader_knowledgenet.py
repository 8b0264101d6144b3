"""Read KnowledgeNet: passages with facts, and the relations that annotators looked for in each.

Its relations are read as Wikidata's, by the table in ``equivalents.yaml``, so that nothing downstream meets a
relation under two names. A passage is one labelled sentence, complete for the relations that
annotators looked for in it. Half of the facts have a pronoun for an argument;
``zsre.relations.pronouns.without_pronouns`` leaves those out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from zsre.relations.equivalents import Reading, knowledgenet_readings
from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.reader_record import Record, SentenceBuilder, listed_records


def is_knowledgenet(first: object) -> bool:
    """Tell whether the first record of a file is a KnowledgeNet passage."""
    return isinstance(first, dict) and {"text", "facts", "annotated_relations"} <= first.keys()


def read_knowledgenet(path: Path) -> Iterator[LabelledSentence]:
    """Yield every passage of a file: each ordered pair of its mentions, with the relations of its facts or none.

    A passage without facts has no mentions and no pairs.
    """
    yield from map(_passage, listed_records(path, "passage"))


def _passage(record: Record) -> LabelledSentence:
    builder = SentenceBuilder(record.string("text"), record.place)
    stated: dict[tuple[int, int], set[str]] = defaultdict(set)
    unsure: dict[tuple[int, int], set[str]] = defaultdict(set)
    for fact in record.records("facts"):
        reading = _reading(fact, "relation", fact.string("relation"))
        subject = _mention(builder, fact, "subject", "s")
        object = _mention(builder, fact, "object", "o")
        stated[subject, object].update(reading.forward)
        stated[object, subject].update(reading.backward)
        unsure[subject, object].update(reading.unsure)
    looked_for: set[str] = set()
    for name in record.strings("annotated_relations"):
        looked_for |= _reading(record, "annotated_relations", name).ids
    pairs = [
        LabelledPair(*ends, frozenset(stated[ends]), frozenset(looked_for - (unsure[ends] - stated[ends])))
        for ends in permutations(range(len(builder.mentions)), 2)
        if not builder.mentions[ends[0]].overlaps(builder.mentions[ends[1]])
    ]
    return builder.build(f"{record.string('doc')}/{record.integer('start')}", "knowledgenet", pairs, looked_for)


def _mention(builder: SentenceBuilder, fact: Record, name: str, span: str) -> int:
    """Return the mention of an argument, once its span has been seen to hold the text that the fact gives."""
    start, end = fact.span(span)
    index = builder.mention(start, end, None, fact.path(span))
    found, given = builder.text[start:end], fact.string(name)
    if found != given:
        raise fact.error(span, f'[{start}, {end}] is "{found}" in the text, not "{given}"; offsets count code points')
    return index


def _reading(record: Record, key: str, name: str) -> Reading:
    readings = knowledgenet_readings()
    if name not in readings:
        raise record.error(key, f'"{name}" is no relation of KnowledgeNet; those are {", ".join(readings)}')
    return readings[name]
