"""Whether a Parquet file has a sound end, told apart from a file that can't be read at this moment."""

from __future__ import annotations

import os
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

#: The length of the metadata, and four letters: what such a file ends with.
_END_BYTES: Final = 8


def has_footer(file: BinaryIO) -> bool:
    """Tell whether a file ends with Parquet's metadata; raise OSError if it can't be read.

    The bytes are read first and parsed then: of metadata that make no sense, Arrow raises OSError, too.
    """
    size = file.seek(0, os.SEEK_END)
    end = _tail(file, size, _END_BYTES)
    tail = _tail(file, size, int.from_bytes(end[:4], "little") + _END_BYTES)
    try:
        pq.read_metadata(pa.BufferReader(tail))
    except (OSError, pa.ArrowException):
        return False
    return True


def _tail(file: BinaryIO, size: int, count: int) -> bytes:
    file.seek(max(0, size - count))
    return file.read(min(size, count))
