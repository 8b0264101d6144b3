"""The folder that triples are written to: part files, a record of each, ``rejects.jsonl`` and ``run.json``.

A file appears under its name only when it is complete. A shard is done once it has a record, ``shards/00000.json``,
and the part that the record names: that is what a run which was stopped goes on from. What it was begun with stands in
``shards/begun.json``, too, as a store may lose a file while it is written anew.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final

import pyarrow as pa

from zsre.relations.errors import OutputError
from zsre.relations.lock import LOCK_FILE
from zsre.runner.corpus import Place
from zsre.runner.counts import Counts, counted
from zsre.runner.files import temporary_name, write_all
from zsre.runner.flags import STANDARD_INPUT
from zsre.runner.inputs import COMPRESSED_SUFFIXES, SUFFIXES
from zsre.runner.parquet_footer import has_footer
from zsre.runner.shard_triples import ShardResult
from zsre.runner.shared_texts import open_writer
from zsre.runner.storage import Folder, LocalFolder, reading

RUN_FILE, REJECTS_FILE, RECORDS = "run.json", "rejects.jsonl", "shards"
BEGUN_FILE: Final = f"{RECORDS}/begun.json"
_PART: Final = re.compile(r"part-\d{5,}\.parquet")
_RECORD: Final = re.compile(r"(\d{5,})\.json")


def default_output(given: str) -> str:
    """Return where the triples of an input go: a folder of its name, in the current one."""
    if given == STANDARD_INPUT:
        return "stdin.triples"
    name = PurePosixPath(given.partition("?")[0]).name
    for suffix in (*COMPRESSED_SUFFIXES, *SUFFIXES):
        name = name.removesuffix(suffix) or name
    return f"{re.sub(r'[*?[]+.*', '', name) or 'corpus'}.triples"


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """What is written down of a shard that is done."""

    index: int
    place: Place
    part: str
    part_bytes: int
    counts: Counts
    rejects: tuple[Mapping[str, object], ...]

    def to_json(self) -> bytes:
        """Return it as it stands in its file."""
        fields = {**asdict(self), "counts": self.counts.to_dict()}
        return (json.dumps(fields, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> ShardRecord:
        """Return what `to_json` gave; raise ValueError for anything else."""
        try:
            fields = json.loads(content)
            given = {**fields, "place": Place(**fields["place"]), "counts": Counts.from_dict(fields["counts"])}
            record = cls(**{**given, "rejects": tuple(fields["rejects"])})
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a record of a shard: {error}") from error
        numbers = (record.index, record.part_bytes, *asdict(record.place).values())
        if not all(type(number) is int and number >= 0 for number in numbers) or not record.counts.add_up():
            raise ValueError("not a record of a shard: its numbers cannot be")
        if record.part != part_name(record.index):
            raise ValueError(f"not a record of a shard: it names {record.part!r}")
        return record


class OutputDirectory:
    """A folder that one run writes to."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.parts = 0

    @property
    def name(self) -> str:
        """Return what the folder is called, for people."""
        return str(self.folder)

    def begin(self) -> None:
        """Make the folder ready for a run from the start: make it, and remove the files of an earlier run."""
        with self._reporting(self.name):
            self.folder.make()
            self.clear()

    def commit(self, result: ShardResult, place: Place) -> None:
        """Write a shard's triples, also if there are none, and then its record."""
        part = part_name(result.index)
        table = parquet_bytes(result.table)
        self._write(part, lambda file: write_all(file, table))
        rejects = tuple(asdict(reject) for reject in result.rejects)
        record = ShardRecord(result.index, place, part, len(table), result.counts, rejects)
        self._write(record_name(result.index), lambda file: write_all(file, record.to_json()))
        self.parts += 1

    def write_run(self, facts: Mapping[str, object]) -> None:
        """Write ``run.json`` anew."""
        self._write_facts(RUN_FILE, facts)

    def write_begun(self, facts: Mapping[str, object]) -> None:
        """Write what a run is begun with, or goes on with, as its ``run.json`` and to go back to.

        One of the two files is sound whenever writing the other fails, or the process is killed over it.
        """
        with self._reporting(self.folder.within(RUN_FILE)):
            only_begun = not _read_facts(self.folder, RUN_FILE) and _read_facts(self.folder, BEGUN_FILE)
        for name in (RUN_FILE, BEGUN_FILE) if only_begun else (BEGUN_FILE, RUN_FILE):
            self._write_facts(name, facts)

    def write_rejects(self, done: Iterable[int]) -> None:
        """Gather the rejects of shards that are done, in their order; raise OutputError for one without a sound record.

        Each is asked for by its name: what a shared disk lists may be half a minute old.
        """

        def write(file: BinaryIO) -> None:
            for index in sorted(done):
                lines = (json.dumps(reject, ensure_ascii=False) + "\n" for reject in self._own_record(index).rejects)
                write_all(file, "".join(lines).encode())

        self._write(REJECTS_FILE, write)

    def recorded(self) -> list[int]:
        """Return the numbers of the shards that have a record, in order."""
        names = (_RECORD.fullmatch(name) for name in self.folder.files(RECORDS))
        return sorted(int(name[1]) for name in names if name)

    def read_record(self, index: int) -> ShardRecord:
        """Return the record of a shard; raise ValueError for one that is damaged, or another's."""
        record = ShardRecord.from_json(self.folder.read(record_name(index)))
        if record.index != index:
            raise ValueError(f"not a record of shard {index}: it is one of shard {record.index}")
        return record

    def done(self) -> Iterator[ShardRecord]:
        """Yield the records, in order, of shards whose part is there, as long as it was and with a sound end.

        Raises OutputError for what can't be read at this moment: nothing is known of such a shard.
        """
        with reading(self.name):
            sizes, indices = self.folder.files(), self.recorded()
        for index in indices:
            record = self._known_record(index)
            if record and sizes.get(record.part) == record.part_bytes and self._is_whole(record.part):
                yield record

    def part_names(self) -> list[str]:
        """Return the names of the parts, in order."""
        return sorted((name for name in self.folder.files() if _PART.fullmatch(name)), key=_number)

    def keep_only(self, done: Collection[int]) -> None:
        """Remove the records and parts of all other shards: they have to be done again, or nothing is known of them."""
        parts = {part_name(index) for index in done}
        with self._reporting(self.name):
            for index in self.recorded():
                if index not in done:
                    self.folder.remove(record_name(index))
            for name in self.part_names():
                if name not in parts:
                    self.folder.remove(name)

    def remove_leftovers(self) -> None:
        """Remove the temporary files of a run that was killed."""
        if isinstance(self.folder, LocalFolder):
            with self._reporting(self.name):
                for path in (*self.folder.leftovers(), *self.folder.leftovers(RECORDS)):
                    path.unlink()

    def clear(self) -> None:
        """Remove the files of an earlier run, its ``run.json`` last, and nothing else."""
        for name in self.part_names():
            self.folder.remove(name)
        for index in self.recorded():
            self.folder.remove(record_name(index))
        self.remove_leftovers()
        for name in (REJECTS_FILE, BEGUN_FILE, RUN_FILE):
            self.folder.remove(name)

    def is_ours_alone(self) -> bool:
        """Tell whether nothing is in the folder but what a run writes there."""
        ours = {RUN_FILE, REJECTS_FILE, LOCK_FILE}
        ours |= set(map(temporary_name, ours))
        strange = [name for name in self.folder.files() if name not in ours and not _PART.fullmatch(name)]
        return not strange and bool(self.recorded())

    def _own_record(self, index: int) -> ShardRecord:
        """Return the record of a shard that this run has done."""
        try:
            return self.read_record(index)
        except FileNotFoundError as error:
            raise OutputError(
                f"{self.folder.within(record_name(index))}: was written, and is not there: if several machines share "
                "the work, they don't see the same folder; give one that they share, or a place in a store, with -o"
            ) from error
        except ValueError as error:
            raise OutputError(
                f"{self.folder.within(record_name(index))}: was changed since it was written ({error}); "
                "the same command does that part again, and goes on"
            ) from error

    def _known_record(self, index: int) -> ShardRecord | None:
        """Return the record of a shard, or ``None`` if it is missing or damaged."""
        try:
            with reading(self.folder.within(record_name(index))):
                return self.read_record(index)
        except (FileNotFoundError, ValueError):
            return None

    def _is_whole(self, part: str) -> bool:
        try:
            with reading(self.folder.within(part)), self.folder.open(part) as file:
                return has_footer(file)
        except FileNotFoundError:
            return False

    def _write_facts(self, name: str, facts: Mapping[str, object]) -> None:
        content = (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()
        self._write(name, lambda file: write_all(file, content))

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        with self._reporting(self.folder.within(name)):
            self.folder.write(name, write)

    @contextmanager
    def _reporting(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"; complete so far: {counted(self.parts, 'part')}" if self.parts else ""
            raise OutputError(
                f"{name}: cannot be written: {error.strerror or error}{kept}; mend that, then the same command goes on"
            ) from error


def part_name(index: int) -> str:
    """Return the name of a shard's part."""
    return f"part-{index:05d}.parquet"


def record_name(index: int) -> str:
    """Return the name of a shard's record."""
    return f"{RECORDS}/{index:05d}.json"


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a part as it stands in its file, texts that rows share being there once."""
    whole = io.BytesIO()
    with open_writer(whole, table.schema, "zstd") as writer:
        writer.write_table(table.unify_dictionaries())
    return whole.getvalue()


def _number(name: str) -> int:
    return int("".join(filter(str.isdigit, name)))


def read_run(folder: Folder) -> dict[str, Any] | None:
    """Return what a folder's ``run.json`` says, or ``None`` if there is no run of ours.

    If it is missing or damaged, that is what the run was begun with. Raises OSError for what can't be read at this
    moment.
    """
    return _read_facts(folder, RUN_FILE) or _read_facts(folder, BEGUN_FILE)


def _read_facts(folder: Folder, name: str) -> dict[str, Any] | None:
    try:
        run = json.loads(folder.read(name))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return run if isinstance(run, dict) and "zsre" in run and isinstance(run.get("status"), str) else None
