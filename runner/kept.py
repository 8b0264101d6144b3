"""Vectors kept on disk, so that other relations need neither spaCy nor the encoder again.

A directory with a marker file, ``vectors.json``, and two Parquet files for each shard. ``mentions-*`` has a row for
each mention that stands in an encoded pair: where it stands, what a triple says of it, and its vector. ``pairs-*`` has
a row for each ordered pair: the rows of its head and tail among the mentions, and its context vector. Their row groups
are the windows that were encoded together, so that a reader holds one of them at a time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from zsre.relations.errors import DataError, OutputError
from zsre.relations.lock import LOCK_FILE, FolderLock
from zsre.relations.places import looked_at
from zsre.relations.private_files import make_private
from zsre.relations.problems import shorten
from zsre.relations.relation import RelationSet
from zsre.runner.batch import Batch
from zsre.runner.counts import Counts
from zsre.runner.files import TEMPORARY_SUFFIX, put_in_place, replace_file, temporary_name, temporary_path, write_all
from zsre.runner.job import Job
from zsre.runner.kept_tables import (
    PRECISIONS,
    mentions_schema,
    pairs_schema,
    window_tables,
)
from zsre.runner.parquet_footer import has_footer
from zsre.runner.shared_texts import open_writer, plain_type
from zsre.runner.storage import reading

MARKER: Final = "vectors.json"
KEPT_VERSION: Final = 1
COUNTS_KEY: Final = "zsre.counts"

#: The types that relations allow at head and tail, each combination once.
AllowedTypes = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class KeptFacts:
    """What the marker says: whose vectors these are, and of which pairs.

    ``fingerprint`` is the model's `Contract.vectors_fingerprint`.
    ``types`` lists the types that the run's relations allow, if only such pairs were kept; ``None`` means all pairs.
    ``keep`` are the fields passed through. ``shards`` is ``None`` until the run has finished.
    """

    model: str
    fingerprint: str
    dimension: int
    precision: str
    pipeline: str
    corpus: str
    keep: tuple[str, ...]
    max_mentions: int
    types: AllowedTypes | None
    shards: int | None = None
    version: int = KEPT_VERSION


def kept_facts(job: Job, corpus: str, precision: str) -> KeptFacts:
    """Return what a job's vectors are."""
    contract = job.engine.contract
    return KeptFacts(
        model=contract.name,
        fingerprint=contract.vectors_fingerprint,
        dimension=contract.dimension,
        precision=precision,
        pipeline=job.pipeline,
        corpus=corpus,
        keep=job.keep,
        max_mentions=job.max_mentions,
        types=None if job.all_types else allowed_types(job.relations),
    )


def allowed_types(relations: RelationSet) -> AllowedTypes:
    """Return the types of head and tail that relations name."""
    return tuple(sorted({(tuple(own.head.types), tuple(own.tail.types)) for own in relations}))


def is_kept(path: Path) -> bool:
    """Tell whether a path is a directory of vectors, as far as it may be looked into."""
    try:
        return (path / MARKER).is_file()
    except OSError:
        return False


def mentions_path(directory: Path, index: int) -> Path:
    """Return the name of a shard's mentions."""
    return directory / f"mentions-{index:05d}.parquet"


def pairs_path(directory: Path, index: int) -> Path:
    """Return the name of a shard's pairs."""
    return directory / f"pairs-{index:05d}.parquet"


class KeptDirectory:
    """A directory that one run keeps its vectors in; made by `open_kept`, and unchanged until `begin`."""

    def __init__(self, path: Path, facts: KeptFacts) -> None:
        self.path, self.facts = path, facts

    def begin(self, done: Collection[int]) -> None:
        """Remove all vectors but those of shards that are done, and write down that the others are still to come."""
        kept = {own(self.path, index) for own in (mentions_path, pairs_path) for index in done}
        with _writing(self.path):
            for pattern in (f".*{TEMPORARY_SUFFIX}", "mentions-*.parquet", "pairs-*.parquet"):
                for found in self.path.glob(pattern):
                    if found not in kept:
                        found.unlink()
            _write_marker(self.path, self.facts)

    def open(self, index: int) -> KeptShard:
        """Begin a shard."""
        return KeptShard(self.path, self.facts, index)

    def has(self, index: int) -> bool:
        """Tell whether a shard's vectors are in place; raise OutputError if they can't be read at this moment."""
        return all(_is_whole(own(self.path, index)) for own in (mentions_path, pairs_path))

    def finish(self, shards: int) -> None:
        """Write down that all shards are there."""
        _write_marker(self.path, replace(self.facts, shards=shards))


def _is_whole(path: Path) -> bool:
    try:
        with reading(str(path)), path.open("rb") as file:
            return has_footer(file)
    except FileNotFoundError:
        return False


@contextmanager
def open_kept(path: Path, facts: KeptFacts, overwrite: bool, going_on: bool = False) -> Iterator[KeptDirectory]:
    """Hold a directory for vectors, to begin anew or to go on with those that it has; nothing there is touched yet.

    Raises OutputError if it holds anything that may not be replaced, or vectors that are not of the run that goes on,
    or if another run holds it.
    """
    check_kept_target(path, overwrite or going_on)
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
    with closing(FolderLock(path)):
        check_kept_target(path, overwrite or going_on)
        if going_on and is_kept(path) and _identity(_read_facts(path)) != _identity(facts):
            raise OutputError(f"--save-pairs {path}: holds vectors of another run; name another directory")
        yield KeptDirectory(path, facts)


def _identity(facts: KeptFacts) -> KeptFacts:
    return replace(facts, shards=None, corpus="")


def check_kept_target(path: Path, overwrite: bool) -> None:
    """Raise OutputError unless vectors may go to this directory; change nothing."""
    nothing = {LOCK_FILE, temporary_name(MARKER)}
    with looked_at(path, OutputError):
        if not path.exists() or (path.is_dir() and all(entry.name in nothing for entry in path.iterdir())):
            return
    if not path.is_dir():
        raise OutputError(f"--save-pairs {path}: is not a directory; name another one")
    if not is_kept(path):
        raise OutputError(f"--save-pairs {path}: holds files but no vectors of zsre; name an empty or new directory")
    if not overwrite:
        raise OutputError(f"--save-pairs {path}: holds vectors; name another directory, or replace them: --overwrite")


class KeptShard:
    """The two files of a shard, under temporary names until they are complete."""

    def __init__(self, directory: Path, facts: KeptFacts, index: int) -> None:
        self._paths = mentions_path(directory, index), pairs_path(directory, index)
        self._schemas = (
            mentions_schema(facts.dimension, facts.precision, facts.keep),
            pairs_schema(facts.dimension, facts.precision),
        )
        self._mentions = self._sentences = 0
        self._writers: list[pq.ParquetWriter] = []
        with self._dropped_on_error():
            for path, schema in zip(self._paths, self._schemas, strict=True):
                # No dictionary of vectors: it would be built to be thrown away. Nor are they compressed: it would make
                # them an eighth smaller, and reading take half as long again.
                texts = [field.name for field in schema if pa.types.is_string(plain_type(field.type))]
                compression = {name: "zstd" for name in schema.names if name != "vector"}
                temporary = make_private(temporary_path(path))
                self._writers.append(open_writer(temporary, schema, compression, use_dictionary=texts))

    def add(self, batch: Batch) -> None:
        """Keep a window: one row group in each file."""
        if not len(batch.vectors.pairs):
            return
        window = window_tables(batch, self._schemas, self._mentions, self._sentences)
        self._mentions += len(window.mentions)
        self._sentences += window.sentences
        with self._dropped_on_error():
            for writer, table in zip(self._writers, (window.mentions, window.pairs), strict=True):
                writer.write_table(table, row_group_size=len(table))

    def commit(self, counts: Counts) -> None:
        """Put both files in place, the mentions first; the pairs hold the shard's counts."""
        with self._dropped_on_error():
            self._writers[1].add_key_value_metadata({COUNTS_KEY: json.dumps(counts.to_dict())})
            for writer, path in zip(self._writers, self._paths, strict=True):
                writer.close()
                put_in_place(path)

    def close(self) -> None:
        """Remove what isn't in place."""
        for writer in self._writers:
            with suppress(OSError):
                writer.close()
        for path in self._paths:
            with suppress(OSError):
                temporary_path(path).unlink(missing_ok=True)

    @contextmanager
    def _dropped_on_error(self) -> Iterator[None]:
        try:
            with _writing(self._paths[0].parent):
                yield
        except BaseException:
            self.close()
            raise


def read_marker(path: Path) -> KeptFacts:
    """Return what a directory's marker says; raise DataError for one that can't be read or isn't finished."""
    facts = _read_facts(path)
    if facts.shards is None:
        raise DataError(f"{path}: the run that saved these vectors did not finish; go on with it, or save them again")
    return facts


def _read_facts(path: Path) -> KeptFacts:
    try:
        fields = json.loads((path / MARKER).read_text("utf-8"))
        version = fields["version"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path / MARKER}: cannot be read ({error}); save the vectors again") from error
    if version != KEPT_VERSION:
        raise DataError(f"{path}: vectors of version {version}, and this zsre reads {KEPT_VERSION}: save them again")
    try:
        facts = KeptFacts(**{**fields, "keep": tuple(fields["keep"]), "types": _types(fields["types"])})
        _check_facts(facts)
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path / MARKER}: is damaged ({error}); save the vectors again") from error
    return facts


def _check_facts(facts: KeptFacts) -> None:
    """Raise ValueError for facts that no run writes."""
    texts = (facts.model, facts.fingerprint, facts.pipeline, facts.corpus, *facts.keep)
    texts += tuple(name for types in facts.types or () for end in types for name in end)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a text isn't one")
    numbers = (facts.dimension, facts.max_mentions, 0 if facts.shards is None else facts.shards)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a number isn't one")
    if facts.precision not in PRECISIONS:
        raise ValueError(f"precision {shorten(facts.precision)}")


def _types(given: Any) -> AllowedTypes | None:
    return None if given is None else tuple((tuple(head), tuple(tail)) for head, tail in given)


def _write_marker(path: Path, facts: KeptFacts) -> None:
    content = (json.dumps(asdict(facts), indent=2, ensure_ascii=False) + "\n").encode()
    with _writing(path):
        replace_file(path / MARKER, lambda file: write_all(file, content))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: vectors cannot be written: {error.strerror or error}; mend that, then run again with --overwrite"
        ) from error
