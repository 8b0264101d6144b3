"""A Parquet file as a corpus: each row is read as if it were a line of JSON, with its columns as fields."""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate, islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from zsre.relations.errors import DataError
from zsre.runner.lines import LINE_HEAD_BYTES, RawLine
from zsre.runner.storage import open_input
from zsre.runner.store_names import readable

#: Rows that are decoded together.
_BATCH_ROWS: Final = 256
#: Bytes of a column that are read at a time.
_BUFFER_BYTES: Final = 4 << 20
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


def row_runs(
    name: str, most_rows: int, most_bytes: int, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, int, float]]:
    """Yield runs of rows to work on at a time: the first row, from 0, how many, and the share of the file so far.

    Small row groups are put together, and large ones taken apart, so that a run has at most ``most_rows`` rows, and
    about ``most_bytes`` of the columns that are read, by default all, decompressed: by the average of a row group.
    """
    with _opened(name) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        sizes = [(group.num_rows, _read_bytes(group, columns)) for group in groups if group.num_rows]
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


def _read_bytes(group: pq.RowGroupMetaData, columns: Sequence[str] | None) -> int:
    """Return the decompressed bytes of a row group's columns that are read; one that is nested has several."""
    chunks = (group.column(number) for number in range(group.num_columns))
    return sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if columns is None or chunk.path_in_schema.partition(".")[0] in columns
    )


class RowStream:
    """The rows of a file from ``number`` on, counted from 1, as JSON of those columns that the file has.

    It stays where it is from one call to the next, as the rows of a row group can only be reached one after the other.
    """

    def __init__(self, name: str, number: int, max_line_bytes: int, columns: Sequence[str]) -> None:
        self.name, self.number = name, number
        # The numbers of the first rows of all row groups but the first, once the file is open.
        self._begins: list[int] = []
        self._lines = self._read(number - 1, max_line_bytes, columns)

    def seek(self, number: int) -> bool:
        """Go on to a row further on in the same row group; tell whether that could be done."""
        if number < self.number or bisect(self._begins, number) != bisect(self._begins, self.number):
            return False
        for _ in self.take(number - self.number):
            pass
        return True

    def take(self, count: int) -> Iterator[RawLine]:
        """Yield the next rows; raise DataError if the file ends before."""
        beyond = self.number + count
        for line in islice(self._lines, count):
            self.number += 1
            yield line
        if self.number < beyond:
            raise DataError(
                f"{readable(self.name)}: the file changed while it was being read; start again with a still copy"
            )

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _read(self, first: int, max_line_bytes: int, columns: Sequence[str]) -> Generator[RawLine]:
        with _opened(self.name) as file:
            size = _row_bytes(file)
            groups_of = (file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups))
            self._begins = [rows + 1 for rows in accumulate(groups_of)]
            wanted = [column for column in file.schema_arrow.names if column in columns]
            skipped, groups = _groups_from(file, first)
            number = first
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=wanted):
                for row in _rows(batch.slice(skipped)):
                    number += 1
                    yield _line(row, number, size, max_line_bytes)
                skipped = max(0, skipped - len(batch))


def read_rows(name: str, first_line: int, count: int, max_line_bytes: int, columns: Sequence[str]) -> Iterator[RawLine]:
    """Yield rows from number ``first_line`` on, counted from 1, as JSON of those columns that the file has."""
    with closing(RowStream(name, first_line, max_line_bytes, columns)) as rows:
        yield from rows.take(count)


def _groups_from(file: pq.ParquetFile, first: int) -> tuple[int, list[int]]:
    """Return how many rows to pass over before row ``first``, from 0, in the first of the row groups returned."""
    begin = 0
    for number in range(file.metadata.num_row_groups):
        beyond = begin + file.metadata.row_group(number).num_rows
        if first < beyond:
            return first - begin, list(range(number, file.metadata.num_row_groups))
        begin = beyond
    return 0, []


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
        # Without a buffer, the whole of a row group's column would be read before the first row of it.
        with open_input(name) as stream, pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{readable(name)}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
