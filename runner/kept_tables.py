"""Kept vectors as tables: how encoded pairs become rows, and rows become encoded pairs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from zsre.relations.vectors import PairVectors
from zsre.runner.batch import Batch, NamedEnd, PairInText
from zsre.runner.half_precision import all_finite
from zsre.runner.pair_types import PairTypes
from zsre.runner.shared_texts import SHARED, SharedTexts, plain_type, texts_of

PRECISIONS: Final = ("float16", "int8")
_SENTENCE: Final = (
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("sentence_number", pa.int32(), nullable=False),
    pa.field("sent_start", pa.int64(), nullable=False),
    pa.field("sent_end", pa.int64(), nullable=False),
    pa.field("sentence", pa.string(), nullable=False),
)
_MENTION: Final = (
    pa.field("type", pa.string()),
    pa.field("start", pa.int64(), nullable=False),
    pa.field("end", pa.int64(), nullable=False),
)
_ENDS: Final = (pa.field("head", pa.int64(), nullable=False), pa.field("tail", pa.int64(), nullable=False))
#: Columns of text that repeats from row to row.
REPEATING: Final = ("doc_id", "sentence", "type")
_KEPT_PREFIX: Final = "kept_"
_INT8_LIMIT: Final = 127


def mentions_schema(dimension: int, precision: str, keep: Sequence[str]) -> pa.Schema:
    """Return the columns of mentions as they are held; the last before the vectors are the `kept_columns`."""
    kept = [pa.field(name, SHARED) for name in kept_columns(keep)]
    return pa.schema([*_SENTENCE, *_MENTION, *kept, *_vector_fields(dimension, precision)])


def kept_columns(keep: Sequence[str]) -> tuple[str, ...]:
    """Return what fields passed through are called: ``kept_`` and their name."""
    return tuple(_KEPT_PREFIX + name for name in keep)


def pairs_schema(dimension: int, precision: str) -> pa.Schema:
    """Return the columns of pairs; ``head`` and ``tail`` are rows of the mentions' file, counted from 0."""
    return pa.schema([*_ENDS, *_vector_fields(dimension, precision)])


def has_columns(found: pa.Schema, wanted: pa.Schema) -> bool:
    """Tell whether a file has these columns, though texts that repeat may come as dictionaries."""
    return found.names == wanted.names and all(
        plain_type(one.type) == plain_type(other.type) and one.nullable == other.nullable
        for one, other in zip(found, wanted, strict=True)
    )


@dataclass(frozen=True, slots=True)
class WindowTables:
    """The rows of a window; ``sentences`` is how many it has."""

    mentions: pa.Table
    pairs: pa.Table
    sentences: int


def window_tables(batch: Batch, schemas: tuple[pa.Schema, pa.Schema], mentions: int, sentences: int) -> WindowTables:
    """Turn a batch into rows, after so many mentions and sentences of the same shard."""
    vectors = batch.vectors
    places = _mention_places(batch)
    columns: list[list[object]] = [[] for _ in range(len(_SENTENCE) + len(_MENTION))]
    kept: list[tuple[str | None, ...]] = []
    for candidate_number, mention in places.tolist():
        candidate = batch.candidates[candidate_number]
        record, sentence, named = candidate.record, candidate.sentence, candidate.named(mention)
        own = (record.id, sentences + candidate_number, sentence.start, sentence.end, sentence.text)
        for column, value in zip(columns, (*own, named.type, named.start, named.end), strict=True):
            column.append(value)
        kept.append(record.kept)
    fields = range(_kept_count(schemas[0]))
    texts = [*columns, *(SharedTexts(values[index] for values in kept).column() for index in fields)]
    ends = [pa.array(vectors.pairs[:, end] + mentions) for end in (0, 1)]
    return WindowTables(
        _table([*texts, *_vector_columns(vectors.mentions, schemas[0])], schemas[0]),
        _table([*ends, *_vector_columns(vectors.contexts, schemas[1])], schemas[1]),
        len(batch.candidates),
    )


class KeptWindow:
    """A window's pairs, read back; ``first_mention`` is the row of the mentions' file that its mentions begin at."""

    def __init__(self, mentions: pa.Table, pairs: pa.Table, first_mention: int) -> None:
        self._mentions = mentions
        ends = np.column_stack([_numbers(pairs, "head"), _numbers(pairs, "tail")]) - first_mention
        self._ends = ends.astype(np.int64)
        self.vectors = PairVectors(
            mentions=_vectors(mentions),
            contexts=_vectors(pairs),
            pairs=self._ends,
            kept=np.arange(len(pairs)),
        )

    def check(self) -> None:
        """Raise ValueError for a window that points to where nothing is, or holds what is no number or no text."""
        if self._ends.size and (self._ends.min() < 0 or self._ends.max() >= len(self._mentions)):
            raise ValueError("a pair's head or tail is none of its mentions")
        if not (all_finite(self.vectors.mentions) and all_finite(self.vectors.contexts)):
            raise ValueError("a vector holds what is no number")
        first, start, end, last = (
            _numbers(self._mentions, name) for name in ("sent_start", "start", "end", "sent_end")
        )
        if not ((first >= 0) & (first <= start) & (start < end) & (end <= last)).all():
            raise ValueError("a mention lies outside of its sentence")
        for column in self._mentions.columns:
            column.validate(full=True)
        if not np.array_equal(_lengths(self._mentions.column("sentence")), last - first):
            raise ValueError("a sentence is not as long as it says")

    def types(self) -> PairTypes:
        """Return the types of head and tail of every pair."""
        return self._types

    @cached_property
    def _types(self) -> PairTypes:
        names, codes = self._type_codes
        both = codes[self._ends[:, 0]] * len(names) + codes[self._ends[:, 1]]
        distinct, which = np.unique(both, return_inverse=True)
        types = [(names[code // len(names)], names[code % len(names)]) for code in distinct.tolist()]
        return PairTypes(tuple(types), which.reshape(-1).astype(np.int64))

    def mention_types(self) -> list[str | None]:
        """Return the types that occur."""
        return self._type_codes[0]

    def ends(self) -> NDArray[np.int64]:
        """Return (P, 2): numbers that identify the mentions of every pair, and grow along the text.

        A mention of a sentence that is seen through windows has several rows, and one number.
        """
        places = np.column_stack([_numbers(self._mentions, name) for name in ("sentence_number", "start", "end")])
        _, numbers = np.unique(places, axis=0, return_inverse=True)
        return numbers.reshape(-1).astype(np.int64)[self._ends]

    def in_text(self, pair: int) -> PairInText:
        """Return where a pair stands."""
        head, tail = self._ends[pair].tolist()
        doc_id, first, last, text = (
            self._value(name, head) for name in ("doc_id", "sent_start", "sent_end", "sentence")
        )
        kept = tuple(texts[head] for texts in self._kept)
        ends = (NamedEnd(*(self._value(name, own) for name in ("type", "start", "end"))) for own in (head, tail))
        return PairInText(doc_id, kept, first, last, text, *ends)

    def _value(self, column: str, mention: int) -> Any:
        return self._mentions.column(column)[mention].as_py()

    @cached_property
    def _kept(self) -> list[list[str | None]]:
        """Return the fields passed through, each for all mentions."""
        columns = zip(self._mentions.column_names, self._mentions.columns, strict=True)
        return [texts_of(column) for name, column in columns if name.startswith(_KEPT_PREFIX)]

    @cached_property
    def _type_codes(self) -> tuple[list[str | None], NDArray[np.int64]]:
        encoded = self._mentions.column("type").combine_chunks()
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        names = [*encoded.dictionary.to_pylist(), None]
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        # With nulls among them, they come as floats, and nulls as what is no number.
        return names, np.where(np.isnan(codes), len(names) - 1, codes).astype(np.int64)


def _lengths(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return how many code points each of some texts has; one that repeats is counted once."""
    whole = texts.combine_chunks()
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    lengths = np.asarray([len(text) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    found: NDArray[np.int64] = lengths[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _mention_places(batch: Batch) -> NDArray[np.int64]:
    """Return (M, 2): for each row of the mentions' vectors, its candidate and its number among that one's mentions."""
    owners = [number for number, candidate in enumerate(batch.candidates) for _ in candidate.pairs.pairs]
    own = [pair for candidate in batch.candidates for pair in candidate.pairs.pairs]
    kept, pairs = batch.vectors.kept, batch.vectors.pairs
    places = np.zeros((len(batch.vectors.mentions), 2), dtype=np.int64)
    candidate = np.asarray(owners, dtype=np.int64)[kept]
    ends = np.asarray(own, dtype=np.int64).reshape(-1, 2)[kept]
    for end in (0, 1):
        places[pairs[:, end], 0] = candidate
        places[pairs[:, end], 1] = ends[:, end]
    return places


def vector_bytes(dimension: int, precision: str) -> int:
    """Return what a vector takes in a file."""
    return 2 * dimension if precision == "float16" else dimension + 4


def _vector_fields(dimension: int, precision: str) -> list[pa.Field]:
    if precision == "float16":
        numbers = pa.list_(pa.field("element", pa.float16(), nullable=False), dimension)
        return [pa.field("vector", numbers, nullable=False)]
    # Parquet has no whole numbers of less than 32 bits, but bytes, each of which is one, to be scaled by its row's.
    return [pa.field("vector", pa.binary(dimension), nullable=False), pa.field("scale", pa.float32(), nullable=False)]


def _vector_columns(vectors: NDArray[np.float16], schema: pa.Schema) -> list[pa.Array]:
    field = schema.field("vector")
    if "scale" not in schema.names:
        return [pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=field.type)]
    exact = vectors.astype(np.float32)
    scale = np.abs(exact).max(axis=1, initial=0.0) / _INT8_LIMIT
    whole = np.rint(exact / np.maximum(scale, np.float32(1e-12))[:, None]).astype(np.int8)
    kept = pa.FixedSizeBinaryArray.from_buffers(field.type, len(whole), [None, pa.py_buffer(whole.tobytes())])
    return [kept, pa.array(scale.astype(np.float32))]


def _vectors(table: pa.Table) -> NDArray[np.float16]:
    column, kind = table.column("vector").combine_chunks(), table.schema.field("vector").type
    if "scale" not in table.column_names:
        numbers = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, kind.list_size)
        return np.asarray(numbers, dtype=np.float16)
    width = kind.byte_width
    held = np.frombuffer(column.buffers()[1] or b"", dtype=np.int8)[column.offset * width :][: len(column) * width]
    return np.asarray(held.reshape(-1, width) * table.column("scale").to_numpy()[:, None], dtype=np.float16)


def _kept_count(schema: pa.Schema) -> int:
    return sum(name.startswith(_KEPT_PREFIX) for name in schema.names)


def _numbers(table: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(table.column(name).to_numpy(), dtype=np.int64)


def _table(columns: Sequence[object], schema: pa.Schema) -> pa.Table:
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, type=field.type)
        for values, field in zip(columns, schema, strict=True)
    ]
    return pa.table(arrays, schema=schema)
