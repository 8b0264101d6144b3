"""Columns of texts that many rows share: one copy of each is held, and one is written, though a file says plain text.

A field passed through stands in every row that comes of its document, so copies would make a shard's memory a multiple
of its input: that of half a million characters, with 800 triples, would take 400 MB.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

#: How such a column is held: numbers of rows, into texts that differ from each other.
SHARED: Final = pa.dictionary(pa.int32(), pa.string())
_SCHEMA_KEY: Final = b"ARROW:schema"


class SharedTexts:
    """A column of texts, gathered row by row."""

    def __init__(self, texts: Iterable[str | None] = ()) -> None:
        self._numbers: dict[str, int] = {}
        self._rows: list[int | None] = []
        self.extend(texts)

    def extend(self, texts: Iterable[str | None]) -> None:
        """Add rows."""
        numbers = self._numbers
        self._rows.extend(None if text is None else numbers.setdefault(text, len(numbers)) for text in texts)

    def column(self) -> pa.DictionaryArray:
        """Return all rows, of the type `SHARED`."""
        rows = pa.array(self._rows, pa.int32())
        return pa.DictionaryArray.from_arrays(rows, pa.array(list(self._numbers), pa.string()))


def texts_of(column: pa.ChunkedArray) -> list[str | None]:
    """Return the texts of a column, the same string for all rows of a chunk that share it."""
    found: list[str | None] = []
    for chunk in column.chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        found.extend(None if number is None else texts[number] for number in coded.indices.to_pylist())
    return found


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, whether or not it comes as a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def open_writer(
    where: Path | BinaryIO,
    schema: pa.Schema,
    compression: str | Mapping[str, str],
    use_dictionary: bool | Sequence[str] = True,
) -> pq.ParquetWriter:
    """Open a Parquet file for tables of a schema, in which columns held as dictionaries are plain all the same.

    A text is written once a row group, provided that all of the group has one dictionary.
    """
    writer = pq.ParquetWriter(where, schema, compression=compression, use_dictionary=use_dictionary, store_schema=False)
    # Left to itself, Arrow would also write down which columns came as dictionaries, and read them as such.
    plain = pa.schema([field.with_type(plain_type(field.type)) for field in schema], metadata=schema.metadata)
    told = base64.b64encode(plain.serialize())
    writer.add_key_value_metadata({**(plain.metadata or {}), _SCHEMA_KEY: told})
    return writer
