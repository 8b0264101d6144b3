"""The table of triples: its schema, its rows, and the ids that let people count facts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pyarrow as pa

from zsre.relations.errors import UsageError
from zsre.relations.relation import RelationSet
from zsre.runner.shared_texts import SHARED

SCHEMA_VERSION: Final = 1
METADATA_KEY: Final = b"zsre"

#: Everything but the fields passed through. Scores are doubles so that 0.7 in a file equals 0.7 in a query.
FIELDS: Final = (
    pa.field("triple_id", pa.string(), nullable=False),
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("sent_start", pa.int64(), nullable=False),
    pa.field("sent_end", pa.int64(), nullable=False),
    pa.field("sentence", pa.string(), nullable=False),
    pa.field("head", pa.string(), nullable=False),
    pa.field("head_type", pa.string()),
    pa.field("head_start", pa.int64(), nullable=False),
    pa.field("head_end", pa.int64(), nullable=False),
    pa.field("relation_id", pa.string(), nullable=False),
    pa.field("relation", pa.string(), nullable=False),
    pa.field("tail", pa.string(), nullable=False),
    pa.field("tail_type", pa.string()),
    pa.field("tail_start", pa.int64(), nullable=False),
    pa.field("tail_end", pa.int64(), nullable=False),
    pa.field("score", pa.float64(), nullable=False),
    pa.field("similarity", pa.float64(), nullable=False),
    pa.field("similarity_head", pa.float64(), nullable=False),
    pa.field("similarity_tail", pa.float64(), nullable=False),
    pa.field("similarity_context", pa.float64(), nullable=False),
    pa.field("margin", pa.float64()),
)
COLUMNS: Final = tuple(column.name for column in FIELDS)
ROWS: Final = pa.schema(FIELDS)


@dataclass(frozen=True, slots=True)
class Triple:
    """One row of the output, its fields named and ordered as the columns; ``kept`` are the fields passed through."""

    triple_id: str
    doc_id: str
    sent_start: int
    sent_end: int
    sentence: str
    head: str
    head_type: str | None
    head_start: int
    head_end: int
    relation_id: str
    relation: str
    tail: str
    tail_type: str | None
    tail_start: int
    tail_end: int
    score: float
    similarity: float
    similarity_head: float
    similarity_tail: float
    similarity_context: float
    margin: float | None
    kept: tuple[str | None, ...] = ()


def check_kept(keep: Sequence[str]) -> None:
    """Raise UsageError for a field to pass through that is called like a column."""
    for name in keep:
        if name in COLUMNS:
            raise UsageError(f"--keep {name}: the output has a column of that name; rename the field in the corpus")


def triples_schema(keep: Sequence[str], facts: Mapping[str, object]) -> pa.Schema:
    """Return the schema with a string column for each field in ``keep`` and the run's facts in its metadata."""
    metadata = {METADATA_KEY: json.dumps(facts, sort_keys=True).encode()}
    return pa.schema([*FIELDS, *(pa.field(name, pa.string()) for name in keep)], metadata=metadata)


def triples_batch(triples: Sequence[Triple], schema: pa.Schema = ROWS) -> pa.RecordBatch:
    """Turn rows into columns, without the fields passed through."""
    columns = [[getattr(triple, name) for triple in triples] for name in COLUMNS]
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def triples_table(rows: Sequence[pa.RecordBatch], kept: Sequence[pa.DictionaryArray], schema: pa.Schema) -> pa.Table:
    """Put rows together with their fields passed through, which are held as `SHARED` where the schema has strings."""
    fields = [*FIELDS, *(field.with_type(SHARED) for field in list(schema)[len(FIELDS) :])]
    columns = [*pa.Table.from_batches(rows, schema=ROWS).columns, *kept]
    return pa.table(columns, schema=pa.schema(fields, metadata=schema.metadata))


def triple_id(doc_id: str, relation_id: str, head: str, tail: str, symmetric: bool) -> str:
    """Return 16 hex digits that name a fact within a document, whatever the spacing and case of its mentions."""
    ends = [" ".join(mention.casefold().split()) for mention in (head, tail)]
    fact = [doc_id, relation_id, *(sorted(ends) if symmetric else ends)]
    return hashlib.sha256(json.dumps(fact).encode()).hexdigest()[:16]


def relations_fingerprint(relations: RelationSet) -> str:
    """Return 16 hex digits over everything in the relations that can change a triple."""
    content = json.dumps([asdict(relation) for relation in relations], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
