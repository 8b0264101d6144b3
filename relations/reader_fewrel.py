"""Read the formats in which each record names one relation of one pair, or its triples, over tokens.

``fewrel`` is one JSON object from relation ids to instances; ``wiki80`` has a JSON object a line, as has
``wikizsl``. Their labels are read as the published protocols read them: the relations named are the only ones of
the data set that hold for the pair. (Nobody checked the others, so such a pair is no proof against a near-duplicate.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.reader_record import Record, SentenceBuilder, TokenisedBuilder, first_run, json_records
from zsre.relations.reader_source import Place, file_stem, read_json


def is_fewrel(first: object) -> bool:
    """Tell whether the first value of a file (here: all of it) is FewRel's: lists of instances by relation."""
    if not isinstance(first, dict) or not first:
        return False
    instances = next(iter(first.values()))
    return isinstance(instances, list) and all(
        isinstance(instance, dict) and {"tokens", "h", "t"} <= instance.keys() for instance in instances[:1]
    )


def read_fewrel(path: Path) -> Iterator[LabelledSentence]:
    """Yield the instances of a FewRel file; of several mentions of an argument the first makes the pair."""
    by_relation = Record(read_json(path), Place(str(path)))
    for relation in by_relation.keys:
        for index, value in enumerate(by_relation.list(relation)):
            record = Record(value, Place(str(path), f"{relation} instance {index}"))
            builder = TokenisedBuilder(record.strings("tokens"), record.place)
            head, tail = (_fewrel_mention(builder, record, end) for end in ("h", "t"))
            pair = LabelledPair(head, tail, frozenset({relation}))
            yield builder.build(f"{relation}/{index}", "fewrel", [pair])


def is_wiki80(first: object) -> bool:
    """Tell whether the first record of a file is wiki80's."""
    return isinstance(first, dict) and {"h", "t", "relation"} <= first.keys()


def read_wiki80(path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences of a wiki80 file, given as ``token`` or as ``text``; positions count in what is given."""
    for number, record in json_records(path):
        builder: SentenceBuilder
        mention: Callable[[int, int, None, str], int]
        if "token" in record:
            builder = tokens = TokenisedBuilder(record.strings("token"), record.place)
            mention = tokens.token_mention
        else:
            builder = SentenceBuilder(record.string("text"), record.place)
            mention = builder.mention
        head, tail = (mention(*record.record(end).span("pos"), None, f"{end}.pos") for end in ("h", "t"))
        pair = LabelledPair(head, tail, frozenset({record.string("relation")}))
        yield builder.build(f"{file_stem(path)}/{number}", "wiki80", [pair])


def is_wikizsl(first: object) -> bool:
    """Tell whether the first record of a file is Wiki-ZSL's."""
    return isinstance(first, dict) and {"tokens", "triples"} <= first.keys()


def read_wikizsl(path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences of a Wiki-ZSL file, with all of their triples as pairs over shared mentions.

    A few index lists hold two mentions of one entity; the first run of indices is taken.
    """
    for number, record in json_records(path):
        builder = TokenisedBuilder(record.strings("tokens"), record.place)
        stated: dict[tuple[int, int], set[str]] = defaultdict(set)
        for index, triple in enumerate(record.records("triples")):
            head, tail = (_wikizsl_mention(builder, triple, index, end) for end in ("head", "tail"))
            stated[head, tail].add(triple.string("label_id"))
        pairs = (LabelledPair(head, tail, frozenset(ids)) for (head, tail), ids in stated.items())
        yield builder.build(f"{file_stem(path)}/{number}", "wikizsl", pairs)


def _fewrel_mention(builder: TokenisedBuilder, record: Record, end: str) -> int:
    """Return the mention of an argument ``[name, id, [[indices], …]]``."""
    parts = record.list(end)
    groups = parts[2] if len(parts) == 3 else None
    group = groups[0] if isinstance(groups, list) and groups else None
    if not (isinstance(group, list) and group and all(type(index) is int for index in group)):
        raise record.error(end, "is no argument; it should read [name, id or null, [[token indices], …]]")
    return builder.token_mention(*first_run(group), None, end)


def _wikizsl_mention(builder: TokenisedBuilder, triple: Record, index: int, end: str) -> int:
    indices = triple.integers(end)
    if not indices:
        raise triple.error(end, "is an empty mention; give the indices of its tokens")
    return builder.token_mention(*first_run(indices), None, f"triples[{index}].{end}")
