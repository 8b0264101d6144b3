"""The corpora and relations files that everything is measured on, made of the data sets: the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, Final

from benchmarks.invented import write_relations
from benchmarks.texts import (
    Passage,
    Record,
    dense_records,
    distinct,
    given_records,
    joined,
    long_records,
    sentence_records,
    shuffled,
    text_records,
)
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledSentence
from zsre.relations.readers import read_labelled

REDOCRED: Final = ("redocred/dev.json.gz", "redocred/test.json.gz")
OTHERS: Final = ("fewrel/fewrel.json.gz", "wikizsl/wikizsl.jsonl.gz")
MANIFEST: Final = "manifest.json"
TEXT, SENTENCES, GIVEN, DENSE, LONG = "text.jsonl", "sentences.jsonl", "given.jsonl", "dense.jsonl", "long.jsonl"
TEN, THOUSAND, MANY = "ten.yaml", "thousand.yaml", "many.yaml"
THOUSAND_TYPED, MANY_TYPED = "thousand-typed.yaml", "many-typed.yaml"
#: Relations files: how many invented relations, and whether they are typed.
RELATIONS: Final[Mapping[str, tuple[int, bool]]] = {
    TEN: (10, False),
    THOUSAND: (1_000, False),
    THOUSAND_TYPED: (1_000, True),
    MANY: (10_000, False),
    MANY_TYPED: (10_000, True),
}


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the corpora end earlier where the data does."""

    documents: int = 5_200
    joined: int = 10
    sentences: int = 100_000
    entities: int = 10
    dense_tokens: int = 120
    least_tokens: int = 100
    most_tokens: int = 400


def make_corpora(data: Path, folder: Path, count_tokens: Callable[[str], int], sizes: Sizes) -> Mapping[str, Any]:
    """Write all corpora, the relations files and a manifest; return the manifest.

    ``count_tokens`` says how many tokens a text has. Raises DataError for a data set that is not there.
    """
    redocred = list(redocred_passages(data))
    others = [distinct(read_sentences(data, name)) for name in OTHERS]
    each = sizes.documents * sizes.joined // 3
    passages = [*redocred]
    for sentences in others:
        passages += joined(shuffled(sentences, lambda own: own.text)[:each], sizes.joined)
    single = distinct(chain(chain.from_iterable(own.sentences for own in redocred), *others))
    corpora: Mapping[str, Iterable[Record]] = {
        TEXT: islice(text_records(passages), sizes.documents),
        SENTENCES: islice(sentence_records(single), sizes.sentences),
        GIVEN: given_records(redocred),
        DENSE: dense_records(redocred, count_tokens, sizes.entities, sizes.dense_tokens),
        LONG: long_records(redocred, count_tokens, sizes.least_tokens, sizes.most_tokens),
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: write_corpus(folder / name, records) for name, records in corpora.items()}
    for name, (count, typed) in RELATIONS.items():
        write_relations(folder / name, count, typed)
        files[name] = {"relations": count, "sha256": sha256(folder / name)}
    (folder / MANIFEST).write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")
    return files


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """Return the manifest; raise DataError if there is none, or a file is not what it says."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{path}: is missing; make the corpora first: python -m benchmarks corpus")
    manifest: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name, facts in manifest.items():
        if not (folder / name).is_file() or sha256(folder / name) != facts["sha256"]:
            raise DataError(f"{folder / name}: is not what the manifest says; make the corpora again")
    return manifest


def read_sentences(data: Path, name: str) -> Iterator[LabelledSentence]:
    """Read a data set; raise DataError if it is not there."""
    if not (data / name).is_file():
        raise DataError(f"{data / name}: is missing; set ZSRE_DATA to the folder that holds the data sets")
    return read_labelled(data / name)


def redocred_passages(data: Path) -> Iterator[Passage]:
    """Yield Re-DocRED's documents."""
    for name in REDOCRED:
        for title, sentences in groupby(read_sentences(data, name), key=lambda own: own.id.rpartition("/")[0]):
            yield Passage(f"redocred/{title}", tuple(sentences))


def write_corpus(path: Path, records: Iterable[Record]) -> dict[str, object]:
    """Write a corpus; return what it holds."""
    counts = {"documents": 0, "sentences": 0, "entities": 0, "pairs": 0}
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            counts["documents"] += 1
            counts["sentences"] += record.get("sentences", 1)
            counts["entities"] += len(record.get("entities", ()))
            counts["pairs"] += len(record.get("pairs", ()))
    return {**counts, "sha256": sha256(path)}


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
