"""A Parquet file as a corpus: each row is read as if it were a line of JSON, with its columns as fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from zsre.relations.errors import DataError
from zsre.runner.lines import LINE_HEAD_BYTES, RawLine
from zsre.runner.storage import open_input, readable

#: Rows that are decoded together.
_BATCH_ROWS: Final = 256
_IN_A_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
#: The day of a time as Arrow writes it.
_DAY: Final = re.compile(r"^(\d{4,}-\d\d-\d\d) ")


def check_columns(name: str, text_field: str) -> None:
    """Raise DataError for a file that isn't Parquet all through, or has no column of texts."""
    with _opened(name) as file:
        columns = file.schema_arrow.names
    if text_field not in columns:
        some = ", ".join(columns[:8])
        raise DataError(f"{readable(name)}: has no column '{text_field}' (columns: {some}); see --text-field")


def row_count(name: str) -> int:
    """Return the number of rows of a file."""
    with _opened(name) as file:
        return int(file.metadata.num_rows)


def row_runs(name: str, most_rows: int, most_bytes: int) -> Iterator[tuple[int, int, float]]:
    """Yield runs of rows to work on at a time: the first row, from 0, how many, and the share of the file so far.

    Small row groups are put together, and large ones taken apart, so that a run has at most ``most_rows`` rows, and
    about ``most_bytes`` decompressed ones, going by the average of a row group.
    """
    with _opened(name) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        sizes = [(group.num_rows, group.total_byte_size) for group in groups if group.num_rows]
    total = sum(rows for rows, _ in sizes)
    first = rows_held = bytes_held = 0

    def run(rows: int) -> tuple[int, int, float]:
        return first, rows, (first + rows) / total

    for rows, size in sizes:
        if rows_held and (rows_held + rows > most_rows or bytes_held + size > most_bytes):
            yield run(rows_held)
            first, rows_held, bytes_held = first + rows_held, 0, 0
        most = max(1, min(most_rows, most_bytes * rows // max(size, 1)))
        left = rows
        while left > most:
            yield run(most)
            first, left = first + most, left - most
        rows_held, bytes_held = rows_held + left, bytes_held + size * left // rows
    if rows_held:
        yield run(rows_held)


def read_rows(name: str, first_line: int, count: int, max_line_bytes: int, columns: Sequence[str]) -> Iterator[RawLine]:
    """Yield rows from number ``first_line`` on, counted from 1, as JSON of those columns that the file has."""
    with _opened(name) as file:
        size = _row_bytes(file)
        wanted = [column for column in file.schema_arrow.names if column in columns]
        skipped, groups = _groups(file, first_line - 1, count)
        number = first_line
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=wanted):
            for row in _rows(batch.slice(skipped, first_line + count - number)):
                yield _line(row, number, size, max_line_bytes)
                number += 1
            skipped = max(0, skipped - len(batch))
            if number == first_line + count:
                return
    raise DataError(f"{readable(name)}: the file changed while it was being read; start again with a still copy")


def _groups(file: pq.ParquetFile, first: int, count: int) -> tuple[int, list[int]]:
    """Return the row groups that hold rows, and how many rows to pass over in the first of them."""
    found, passed, position = [], 0, 0
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if position + rows <= first:
            passed += rows
        elif position < first + count:
            found.append(number)
        position += rows
    return first - passed, found


def _row_bytes(file: pq.ParquetFile) -> int:
    """Return the bytes of the input that one row stands for."""
    metadata = file.metadata
    compressed = sum(
        metadata.row_group(group).column(column).total_compressed_size
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )
    return int(compressed // max(1, metadata.num_rows))


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        # One value is enough that Python has no type for: a string that isn't UTF-8, a time to the nanosecond.
        columns = [[_value(scalar) for scalar in column] for column in batch.columns]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(scalar: Any) -> object:
    """Return a value as `to_pylist` would, or, where Python cannot hold it, its bytes or its text."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        match scalar:
            case pa.MapScalar():
                value: object = [[_value(one) for one in entry.values()] for entry in scalar.values]
            case pa.ListScalar():
                value = [_value(one) for one in scalar]
            case pa.StructScalar():
                value = {name: _value(one) for name, one in scalar.items()}
            case pa.DictionaryScalar():
                value = _value(scalar.value)
            case pa.DurationScalar():
                value = scalar.cast(pa.int64()).as_py() / _IN_A_SECOND[scalar.type.unit]
            case _ if hasattr(scalar, "as_buffer"):
                value = scalar.as_buffer().to_pybytes()
            case _:
                value = _DAY.sub(r"\1T", str(scalar.cast(pa.string())))
        return value


def _line(row: dict[str, Any], number: int, size: int, max_line_bytes: int) -> RawLine:
    given = {name: value for name, value in row.items() if value is not None}
    try:
        # Escaped, a text that isn't Latin would be longer than in a file of JSON lines, and perhaps too long.
        data = json.dumps(given, default=_plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        data = json.dumps(given, default=_plain).encode()
    if len(data) > max_line_bytes:
        return RawLine(number, data[:LINE_HEAD_BYTES], size, too_long=True, length=len(data))
    return RawLine(number, data, size)


def _plain(value: object) -> object:
    """Return what JSON can hold instead of a value of Python."""
    match value:
        case bytes():
            # Some writers don't say that their strings are strings. What isn't one can't be a text, and is told.
            return value.decode("utf-8", errors="surrogateescape")
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return str(value)
        case _:
            return str(value)


@contextmanager
def _opened(name: str) -> Iterator[pq.ParquetFile]:
    try:
        with open_input(name) as stream, pq.ParquetFile(stream) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{readable(name)}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
