"""An engine and an annotator whose answers can be worked out by hand, so that tests need neither model nor spaCy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsre.relations.contract import Calibration, Contract
from zsre.relations.examples import Mention
from zsre.relations.relation import Argument, Relation, RelationSet
from zsre.relations.tokens import TokenSettings
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner.corpus import CutSettings, Place, Shard, cut
from zsre.runner.entities import Document, Sentence
from zsre.runner.inputs import Kind, find_segments
from zsre.runner.job import Job
from zsre.runner.lines import RawLine
from zsre.runner.output import OutputDirectory
from zsre.runner.recording import Run
from zsre.runner.records import Record, RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.scorer import Encoded, Encoding
from zsre.runner.shard_triples import ShardResult
from zsre.runner.stages import process_shard
from zsre.runner.storage import LocalFolder

#: A sentence is about a relation if it holds the word that the relation's description holds.
KEYWORDS = ("founded", "married", "born", "leads", "led")
#: Similarity 1.0 scores 0.8176, 0.8 scores 0.3775, 0.5 scores 0.0293.
CALIBRATION = Calibration(slope=10.0, intercept=-8.5, threshold=0.5, fitted_on="nothing")

FOUNDED_BY = Relation("P112", "founded by", "who founded this organisation", Argument(("ORG",)), Argument(("PERSON",)))
SPOUSE = Relation(
    "P26", "spouse", "the person this person married", Argument(("PERSON",)), Argument(("PERSON",)), symmetric=True
)
BORN_IN = Relation("P19", "place of birth", "where this person was born", Argument(("PERSON",)), Argument(("GPE",)))
RELATIONS = RelationSet((FOUNDED_BY, SPOUSE, BORN_IN), source="fakes")

#: A relations file, and records that state its relations.
RELATIONS_YAML = """\
relations:
  - id: P112
    name: founded by
    description: who founded this organisation
    head: {types: [ORG]}
    tail: {types: [PERSON]}
  - id: P26
    name: spouse
    description: the person this person married
    head: {types: [PERSON]}
    tail: {types: [PERSON]}
    symmetric: true
"""
_ENTITIES = [{"start": 0, "end": 4, "label": "ORG"}, {"start": 20, "end": 23, "label": "PERSON"}]
RECORDS = [
    {"id": "d1", "text": "Acme was founded by Ann.", "entities": _ENTITIES, "url": "u"},
    {"id": "d2", "text": "Bill Gates married Melinda French in Hawaii."},
]


def contract(seen: tuple[str, ...] = ()) -> Contract:
    return Contract(
        name="fake",
        fingerprint="f" * 32,
        dimension=8,
        alpha=0.25,
        tokens=TokenSettings("shared", 128, 1, 2, 0, (3, 4, 5, 6)),
        calibration=CALIBRATION,
        precision="fp32",
        encoder="none",
        relation_encoder="none",
        seen_relations=seen,
        seen_data=("some",),
    )


class FakeEngine:
    """Head and tail give 0.25 each; the context gives 0.5 for the sentence's keyword, 0.3 if the tail comes first.

    A mention of nothing but NUL has no token, and mentions more than ``reach`` characters apart can't be seen together.
    """

    device = "CPU"

    def __init__(self, reach: int = 10_000, seen: tuple[str, ...] = ()) -> None:
        self.contract = contract(seen)
        self.reach = reach
        self.batches: list[int] = []

    def begin(self, sentences: Sequence[PairSentence]) -> Encoding:
        return Encoded(self.encode(sentences))

    def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
        self.batches.append(len(sentences))
        mentions, contexts, pairs, kept = [], [], [], []
        too_long = no_tokens = position = 0
        for sentence in sentences:
            base = len(mentions)
            mentions.extend(_scaled(0, 0.5) for _ in sentence.mentions)
            for head, tail in sentence.pairs:
                first, second = sentence.mentions[head], sentence.mentions[tail]
                if not all(sentence.text[end.start : end.end].strip("\x00") for end in (first, second)):
                    no_tokens += 1
                elif abs(first.start - second.start) > self.reach:
                    too_long += 1
                else:
                    contexts.append(_context(sentence.text, forward=head < tail))
                    pairs.append((base + head, base + tail))
                    kept.append(position)
                position += 1
        width = self.contract.dimension
        return PairVectors(
            np.asarray(mentions, dtype=np.float16).reshape(-1, width),
            np.asarray(contexts, dtype=np.float16).reshape(-1, width),
            np.asarray(pairs, dtype=np.int64).reshape(-1, 2),
            np.asarray(kept, dtype=np.int64),
            too_long,
            no_tokens,
            cut_sentences=sum(len(sentence.text) > self.reach for sentence in sentences),
        )

    def relation_vectors(self, relations: RelationSet) -> NDArray[np.float32]:
        rows = [
            [_scaled(0, 0.5), _scaled(0, 0.5), _context(relation.description, forward=True)] for relation in relations
        ]
        return np.asarray(rows, dtype=np.float32)


def _context(text: str, forward: bool) -> NDArray[np.float32]:
    found = [index for index, word in enumerate(KEYWORDS, start=1) if re.search(rf"\b{word}\b", text)]
    if not found:
        return _scaled(7, 0.5**0.5)
    vector = _scaled(found[0], 0.5**0.5)
    return vector if forward else 0.6 * vector + 0.8 * _scaled(7, 0.5**0.5)


def _scaled(place: int, length: float) -> NDArray[np.float32]:
    vector = np.zeros(8, dtype=np.float32)
    vector[place] = length
    return vector


class FakeAnnotator:
    """Sentences end at full stops; capitalised words are entities, of the type in ``types``, else PERSON."""

    name = "fake 1.0"

    def __init__(self, types: Mapping[str, str] | None = None) -> None:
        self.types = types or {}
        self.labels = frozenset({"PERSON", "ORG", "GPE"})

    def close(self) -> None:
        pass

    def annotate(self, records: Sequence[Record]) -> Iterator[Document]:
        for record in records:
            found = record.entities
            if found is None:
                found = tuple(
                    Mention(word.start(), word.end(), self.types.get(word.group(), "PERSON"))
                    for word in re.finditer(r"[A-Z]\w*", record.text)
                )
            sentences = []
            for span in re.finditer(r"[^.\s][^.]*\.?", record.text):
                start, text = span.start(), span.group().rstrip()
                inside = tuple(
                    Mention(mention.start - start, mention.end - start, mention.type)
                    for mention in found
                    if start <= mention.start and mention.end <= start + len(text)
                )
                sentences.append(Sentence(start, start + len(text), text, inside))
            lying_inside = sum(len(sentence.mentions) for sentence in sentences)
            yield Document(record, tuple(sentences), len(found) - lying_inside)


TYPES = {"Acme": "ORG", "Globex": "ORG", "Paris": "GPE", "Rome": "GPE"}


def make_job(
    relations: RelationSet = RELATIONS,
    engine: FakeEngine | None = None,
    records: RecordSettings | None = None,
    threshold: float | None = None,
    max_mentions: int = 40,
) -> Job:
    used = engine or FakeEngine()
    rules = make_rules(relations, used.contract, threshold, max_relations=3)
    return Job(records or RecordSettings(), FakeAnnotator(TYPES), used, relations, rules, max_mentions)


def jsonl(records: Iterable[object]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def held_shard(lines: Iterable[bytes], index: int = 0) -> Shard:
    """Return a shard that holds its lines."""
    held = tuple(RawLine(number, line, len(line) + 1) for number, line in enumerate(lines, start=1))
    place = Place(0, 1, len(held), sum(not line.blank for line in held), 0, sum(line.size for line in held))
    return Shard(index, "corpus.jsonl", Kind.STREAM, place, 2**20, held=held)


def run_file(path: Path, job: Job, settings: CutSettings | None = None) -> list[ShardResult]:
    return [process_shard(shard, job) for shard in cut(find_segments([str(path)]), settings or CutSettings())]


def new_run(path: Path) -> Run:
    """Return a run into a new folder."""
    output = OutputDirectory(LocalFolder(path))
    output.begin()
    return Run(output)
