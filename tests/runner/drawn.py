"""Folders of runs with made-up triples, to draw from, and answers to what is asked about them."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsre.relations.readers import read_labelled
from zsre.runner import judge_cli
from zsre.runner.draw import draw, open_finished
from zsre.runner.output import OutputDirectory, part_name
from zsre.runner.storage import LocalFolder
from zsre.runner.triples import Triple, triples_batch, triples_schema

OUTPUT = Path("judged.jsonl")
SCHEMA = triples_schema((), {})
FACTS = {"zsre": "1", "status": "finished", "relations_source": "relations.yaml", "max_relations": 3}
FOUNDED_BY, SPOUSE = ("P112", "founded by"), ("P26", "spouse")


def make_triple(number: int, score: float = 0.5, relation: tuple[str, str] = FOUNDED_BY) -> Triple:
    """Return a triple of the second sentence of a document of its own."""
    sentence, start = f"Acme {number} was founded by Ann.", 10
    head, tail = f"Acme {number}", "Ann"
    place = start + sentence.index(tail)
    return Triple(
        triple_id=f"{number:016x}", doc_id=f"d{number}",
        sent_start=start, sent_end=start + len(sentence), sentence=sentence,
        head=head, head_type="ORG", head_start=start, head_end=start + len(head),
        relation_id=relation[0], relation=relation[1],
        tail=tail, tail_type="PERSON", tail_start=place, tail_end=place + len(tail),
        score=score, similarity=0.5, similarity_head=0.1, similarity_tail=0.1, similarity_context=0.3, margin=None,
    )  # fmt: skip


def make_triples(count: int, relation: tuple[str, str] = FOUNDED_BY) -> list[Triple]:
    """Return triples whose scores lie far apart and in no order."""
    return [make_triple(number, (number * 7919 % count) / count, relation) for number in range(count)]


def table_of(triples: Sequence[Triple], schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_batches([triples_batch(triples, schema)])


def make_run(path: Path, *parts: Sequence[Triple], group_rows: int | None = None, **facts: object) -> Path:
    """Write a run with a part for each list of triples."""
    output = OutputDirectory(LocalFolder(path))
    output.begin()
    for index, triples in enumerate(parts):
        pq.write_table(table_of(triples), path / part_name(index), row_group_size=group_rows)
    output.write_run({**FACTS, "counts": {"triples": sum(map(len, parts))}, **facts})
    return path


def renamed(triple: Triple, **fields: object) -> Triple:
    return replace(triple, **fields)  # type: ignore[arg-type]


def give(monkeypatch: pytest.MonkeyPatch, answers: Sequence[str]) -> None:
    """Put answers, a line each, on standard input."""
    lines = "".join(f"{answer}\n" for answer in answers).encode("utf-8", "surrogateescape")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))


def judge(monkeypatch: pytest.MonkeyPatch, answers: Sequence[str], *args: str, output: str = str(OUTPUT)) -> int:
    """Run the command on answers."""
    give(monkeypatch, answers)
    return judge_cli.main(["run", "-o", output, *args])


def saved() -> dict[str, bool]:
    """Return the verdicts in the file by the documents they are on."""
    return {own.id.partition("#")[0]: bool(own.pairs[0].relations) for own in read_labelled(OUTPUT)}


def order(count: int = 100) -> list[str]:
    """Return the documents of the drawn triples in the order in which they are asked about."""
    return [triple.doc_id for triple in draw(open_finished("run"), count, 13).triples]
