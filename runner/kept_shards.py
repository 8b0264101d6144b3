"""Kept vectors read back, a window at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zsre.relations.errors import DataError
from zsre.runner.counts import Counts
from zsre.runner.kept import COUNTS_KEY, KeptFacts, mentions_path, pairs_path
from zsre.runner.kept_tables import REPEATING, KeptWindow, has_columns, kept_columns, mentions_schema, pairs_schema


class StoredShard:
    """A shard of kept vectors; made by `open_shard`.

    Its windows may be read in any order, and by several threads at once.
    """

    def __init__(self, files: tuple[_StoredFile, _StoredFile], index: int, counts: Counts) -> None:
        self.index, self.counts = index, counts
        self._mentions, self._pairs = files
        groups = self._mentions.metadata.num_row_groups
        sizes = (self._mentions.metadata.row_group(group).num_rows for group in range(groups))
        self._firsts = tuple(accumulate(sizes, initial=0))[:-1]

    @property
    def windows(self) -> int:
        """Return how many windows there are."""
        return len(self._firsts)

    def window(self, number: int) -> KeptWindow:
        """Read one of the windows, counted from 0; raise DataError for a damaged one."""
        try:
            window = KeptWindow(self._mentions.read(number), self._pairs.read(number), self._firsts[number])
            window.check()
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DataError(
                f"{self._pairs.path}: row group {number} is damaged ({error}); save the vectors again"
            ) from error
        return window


@dataclass(frozen=True, slots=True)
class _StoredFile:
    """A file whose metadata has been read; ``texts`` are the columns that come as dictionaries."""

    path: Path
    metadata: pq.FileMetaData
    texts: tuple[str, ...] = ()

    def read(self, group: int) -> pa.Table:
        """Read a row group; the file is opened for it alone, as none may be read by two threads at once."""
        with pq.ParquetFile(self.path, metadata=self.metadata, read_dictionary=list(self.texts)) as file:
            return file.read_row_group(group, use_threads=False)


def open_shard(path: Path, facts: KeptFacts, index: int) -> StoredShard:
    """Return a shard, having read what its files say of themselves alone; raise DataError for a damaged one."""
    own = pairs_path(path, index)
    try:
        texts = (*REPEATING, *kept_columns(facts.keep))
        mentions = _StoredFile(mentions_path(path, index), pq.read_metadata(mentions_path(path, index)), texts)
        pairs = _StoredFile(own, pq.read_metadata(own))
        counts = Counts.from_dict(json.loads(pairs.metadata.metadata[COUNTS_KEY.encode()]))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{own}: cannot be read ({error}); save the vectors again") from error
    if mentions.metadata.num_row_groups != pairs.metadata.num_row_groups:
        raise DataError(f"{mentions.path}: belongs to other pairs; save the vectors again")
    schemas = (
        mentions_schema(facts.dimension, facts.precision, facts.keep),
        pairs_schema(facts.dimension, facts.precision),
    )
    for file, schema in zip((mentions, pairs), schemas, strict=True):
        if not has_columns(file.metadata.schema.to_arrow_schema(), schema):
            raise DataError(f"{file.path}: its columns are not those of kept vectors; save the vectors again")
    return StoredShard((mentions, pairs), index, counts)
