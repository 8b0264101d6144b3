"""Triples drawn from a finished run: each with the same chance, and spread evenly over the scores.

A run may have more rows than fit into memory, so the scores are read first, two bytes of each are kept, and of the
rest only the row groups that something was drawn from are read.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from zsre.relations.errors import DataError, UsageError
from zsre.relations.problems import did_you_mean, some_of
from zsre.runner.counts import counted
from zsre.runner.decide import DECIMALS
from zsre.runner.kept import MARKER
from zsre.runner.output import OutputDirectory, read_run
from zsre.runner.pairing import folded
from zsre.runner.storage import open_folder
from zsre.runner.store_names import readable, without_scheme
from zsre.runner.triples import COLUMNS, FIELDS, Triple

#: Scores as whole numbers, which is all there is to them: they are written with so many decimals.
_LEVELS: Final = 10**DECIMALS
#: The level of a row that isn't drawn from.
LEFT_OUT: Final = _LEVELS + 1

#: The levels (N,) of a part's rows.
Levels = NDArray[np.uint16]


@dataclass(frozen=True)
class FinishedRun:
    """The folder of a run of ``zsre-extract`` that came to its end, and what its ``run.json`` says."""

    output: OutputDirectory
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Drawn:
    """Triples that were drawn, in the order in which they are shown, and how many there were to draw from."""

    triples: list[Triple]
    total: int


def open_finished(name: str) -> FinishedRun:
    """Open the folder that a run has written; raise DataError if there is none, or if it holds something else."""
    folder, shown = open_folder(without_scheme(name)), readable(name)
    try:
        if not folder.exists():
            raise DataError(f"{shown}: there is no such folder; name one that zsre-extract wrote")
        if not folder.is_folder():
            raise DataError(f"{shown}: is not a folder; name the one that zsre-extract wrote, rather than a file in it")
        run = read_run(folder)
        kept = run is None and MARKER in folder.files()
    except OSError as error:
        raise DataError(f"{shown}: cannot be read: {error.strerror or error}") from error
    if kept:
        raise DataError(
            f"{shown}: holds vectors and no triples: extract from it with zsre-extract, and name what that writes"
        )
    if run is None:
        raise DataError(f"{shown}: is not the folder of a run of zsre-extract; name one that holds its run.json")
    if run["status"] != "finished":
        raise DataError(
            f"{shown}: holds a run that has not finished (its status is '{run['status']}'): the command that began it "
            "goes on with it"
        )
    return FinishedRun(OutputDirectory(folder), run)


def draw(run: FinishedRun, count: int, seed: int, relations: Sequence[str] = ()) -> Drawn:
    """Draw ``count`` triples, or all if there are fewer, and shuffle them: the same for the same run and seed.

    With ``relations``, names or ids whatever their case, only triples of these are drawn from. Raises UsageError for
    one that no triple has, DataError for a run that has no triples, has lost some, or can't be read.
    """
    output, choice = run.output, _RelationChoice(relations)
    with _readable(output.name):
        parts = output.part_names()
    levels = []
    for name in parts:
        with _opened(output, name) as part:
            levels.append(_read_levels(part, choice))
    _check_complete(run, sum(map(len, levels)))
    if not any(map(len, levels)):
        raise DataError(f"{output.name}: holds no triples, so there is none to draw")
    choice.check(output.name)
    generator = random.Random(seed)
    rows = spread_rows(levels, count, generator)
    found: dict[int, Triple] = {}
    base = 0
    for name, size in zip(parts, map(len, levels), strict=True):
        own = np.sort(rows[(rows >= base) & (rows < base + size)])
        if len(own):
            with _opened(output, name) as part:
                found.update(zip(own.tolist(), _read_triples(part, own - base), strict=True))
        base += size
    drawn = [found[row] for row in rows.tolist()]
    generator.shuffle(drawn)
    return Drawn(drawn, sum(int((part != LEFT_OUT).sum()) for part in levels))


def spread_rows(levels: Sequence[Levels], count: int, generator: random.Random) -> NDArray[np.int64]:
    """Return the rows (``count``,) that are drawn, by rising score; fewer if there are fewer.

    Sorted by score, and of one score by place, rows are taken at equal steps from a random start. They are numbered
    through all parts. No more than a part is ever sorted.
    """
    sizes = sum(map(_level_sizes, levels), np.zeros(LEFT_OUT + 1, dtype=np.int64))
    sizes[LEFT_OUT] = 0
    total = int(sizes.sum())
    assert total > 0, "something to draw from"
    count = min(count, total)
    places = ((generator.random() + np.arange(count)) * (total / count)).astype(np.int64).clip(max=total - 1)
    ends = sizes.cumsum()
    level = np.searchsorted(ends, places, side="right")
    rank = places - (ends - sizes)[level]
    rows = np.zeros(count, dtype=np.int64)
    before, base = np.zeros_like(sizes), 0
    for part in levels:
        own_sizes = _level_sizes(part)
        own_rank = rank - before[level]
        here = (own_rank >= 0) & (own_rank < own_sizes[level])
        if here.any():
            firsts = own_sizes.cumsum() - own_sizes
            rows[here] = base + np.argsort(part, kind="stable")[firsts[level[here]] + own_rank[here]]
        before += own_sizes
        base += len(part)
    return rows


def _level_sizes(part: Levels) -> NDArray[np.int64]:
    """Return how many rows of a part have each level."""
    return np.bincount(part, minlength=LEFT_OUT + 1)


class _RelationChoice:
    """Which rows are drawn from: those of relations that are named, or all. Takes note of the names that occur."""

    def __init__(self, given: Sequence[str]) -> None:
        self._given = {folded(name): name for name in given}
        self._occurring: dict[str, set[str]] = {"relation_id": set(), "relation": set()}

    @property
    def columns(self) -> list[str]:
        """Return the columns that it takes to tell."""
        return list(self._occurring) if self._given else []

    def holds(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Return (N,): whether each row is drawn from."""
        held = np.full(len(batch), not self._given)
        for column in self.columns:
            coded = batch.column(column).dictionary_encode()
            names = coded.dictionary.to_pylist()
            self._occurring[column].update(names)
            meant = np.asarray([folded(name) in self._given for name in names], dtype=np.bool_)
            held |= meant[coded.indices.to_numpy()]
        return held

    def check(self, source: str) -> None:
        """Raise UsageError for a relation that no row had."""
        names = self._occurring["relation"]
        found = set(map(folded, names | self._occurring["relation_id"]))
        for key, name in self._given.items():
            if key not in found:
                raise UsageError(
                    f"--only {name}: no triple of {source} has a relation of that name or id: "
                    f"{did_you_mean(name, names)}there are triples of {some_of(sorted(names))}"
                )


def _check_complete(run: FinishedRun, rows: int) -> None:
    counts = run.facts.get("counts")
    written = counts.get("triples") if isinstance(counts, Mapping) else None
    if type(written) is int and written != rows:
        raise DataError(
            f"{run.output.name}: its parts hold {counted(rows, 'triple')}, and its run.json counts {written:,}: parts "
            "were removed, or are another run's; put them back, or extract again"
        )


def _read_levels(part: pq.ParquetFile, choice: _RelationChoice) -> Levels:
    found = [np.zeros(0, dtype=np.uint16)]
    for batch in part.iter_batches(columns=["score", *choice.columns]):
        score = np.nan_to_num(batch.column("score").to_numpy(zero_copy_only=False))
        levels = np.rint(np.clip(score, 0, 1) * _LEVELS).astype(np.uint16)
        levels[~choice.holds(batch)] = LEFT_OUT
        found.append(levels)
    return np.concatenate(found)


def _read_triples(part: pq.ParquetFile, rows: NDArray[np.int64]) -> Iterator[Triple]:
    """Yield some rows of a part, given in ascending order; only their row groups are read."""
    sizes = np.asarray([part.metadata.row_group(group).num_rows for group in range(part.num_row_groups)])
    ends = sizes.cumsum()
    own_group = np.searchsorted(ends, rows, side="right")
    for group in np.unique(own_group).tolist():
        table = part.read_row_group(group, columns=list(COLUMNS))
        inside = rows[own_group == group] - (ends - sizes)[group]
        for row in table.take(inside).to_pylist():
            triple = Triple(**row)
            if not _fits(triple):
                raise pa.ArrowInvalid("the offsets of a triple don't fit its sentence")
            yield triple


def _fits(triple: Triple) -> bool:
    """Tell whether head and tail stand in the sentence where the row says."""
    ends = (triple.head, triple.head_start, triple.head_end), (triple.tail, triple.tail_start, triple.tail_end)
    return all(
        text and start >= triple.sent_start and triple.sentence[start - triple.sent_start :][: end - start] == text
        for text, start, end in ends
    )


@contextmanager
def _opened(output: OutputDirectory, name: str) -> Iterator[pq.ParquetFile]:
    """Open a part; raise DataError if it can't be read, or if its columns aren't those of triples."""
    place = output.folder.within(name)
    try:
        with _readable(place), output.folder.open(name) as file, pq.ParquetFile(file) as part:
            if not all(_has(part.schema_arrow, field) for field in FIELDS):
                raise pa.ArrowInvalid("its columns are not those of triples")
            yield part
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"{place}: is damaged ({reason}); extract again") from error


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """Tell of a file or folder that may not be read that this is all that is wrong with it."""
    try:
        yield
    except PermissionError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror or error}; change its permissions") from error


def _has(schema: pa.Schema, field: pa.Field) -> bool:
    index = schema.get_field_index(field.name)
    return index >= 0 and bool(schema.field(index).equals(field))
