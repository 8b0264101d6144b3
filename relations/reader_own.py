"""Read and write zsre's own format for labelled sentences: one JSON object a line.

``{"id", "text", "mentions": [{"start", "end", "type"}], "pairs": [{"head", "tail", "relations", "looked_for"}],
"complete": [ids], "source"}``. Offsets count code points. ``type``, ``looked_for``, ``complete`` and ``source`` may be
left out or null; the source is the name of the file then, and the sentence is complete for no relation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from zsre.relations.errors import OutputError
from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.private_files import replacing
from zsre.relations.reader_record import Record, SentenceBuilder, json_records
from zsre.relations.reader_source import file_stem


def is_own(first: object) -> bool:
    """Tell whether the first record of a file is in zsre's own format."""
    return isinstance(first, dict) and {"text", "mentions", "pairs"} <= first.keys()


def read_own(path: Path) -> Iterator[LabelledSentence]:
    """Yield the sentences of a file."""
    for _, record in json_records(path):
        builder = SentenceBuilder(record.string("text"), record.place)
        indices = []
        for mention in record.records("mentions"):
            type = mention.string("type") if "type" in mention else None
            span = mention.integer("start"), mention.integer("end")
            indices.append(builder.mention(*span, type, mention.path("start")))
        pairs = [_pair(pair, indices) for pair in record.records("pairs")]
        source = record.string("source") if "source" in record else file_stem(path)
        complete = record.strings("complete") if "complete" in record else ()
        yield builder.build(record.string("id"), source, pairs, complete)


def write_labelled(path: Path, sentences: Iterable[LabelledSentence]) -> None:
    """Write sentences so that reading them gives them back; an existing file is replaced, in one step or not at all.

    Raises ``OutputError`` if the file cannot be written.
    """
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
            for sentence in sentences:
                stream.write(labelled_line(sentence))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; choose a folder that exists and has room"
        ) from error


def labelled_line(sentence: LabelledSentence) -> str:
    """Return a sentence as it stands in a file, with its line end."""
    return json.dumps(_as_json(sentence), ensure_ascii=False) + "\n"


def _pair(pair: Record, indices: list[int]) -> LabelledPair:
    """Return a pair; ``indices`` are the places of the record's mentions once repeated spans are one."""
    ends = []
    for end in ("head", "tail"):
        index = pair.integer(end)
        if not 0 <= index < len(indices):
            raise pair.error(end, f"there is no mention {index} among {len(indices)}; indices count from 0")
        ends.append(indices[index])
    looked_for = frozenset(pair.strings("looked_for")) if "looked_for" in pair else None
    return LabelledPair(ends[0], ends[1], frozenset(pair.strings("relations")), looked_for)


def _as_json(sentence: LabelledSentence) -> dict[str, object]:
    return {
        "id": sentence.id,
        "source": sentence.source,
        "text": sentence.text,
        "mentions": [{"start": m.start, "end": m.end, "type": m.type} for m in sentence.mentions],
        "pairs": [
            {
                "head": pair.head,
                "tail": pair.tail,
                "relations": sorted(pair.relations),
                "looked_for": None if pair.looked_for is None else sorted(pair.looked_for),
            }
            for pair in sentence.pairs
        ],
        "complete": sorted(sentence.complete),
    }
