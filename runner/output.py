"""The directory that triples are written to: part files, ``rejects.jsonl`` and ``run.json``.

A file appears under its name only when it is complete: it is written beside it under a temporary
name, flushed to the disk and renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from zsre.relations.errors import OutputError
from zsre.runner.counts import counted
from zsre.runner.files import TEMPORARY_SUFFIX, replace_file, write_all
from zsre.runner.records import Reject

RUN_FILE, REJECTS_FILE = "run.json", "rejects.jsonl"
_PART_PATTERN: Final = "part-*.parquet"


def default_output(corpus: str) -> Path:
    """Return where the triples of an input go: a directory of its name, in the current directory."""
    if corpus == "-":
        return Path("stdin.triples")
    name = Path(corpus).name
    for suffix in (".gz", ".jsonl", ".json"):
        name = name.removesuffix(suffix) or name
    return Path(f"{name}.triples")


class OutputDirectory:
    """A directory that one run writes to; made by `open_output`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts = 0

    def part_path(self, index: int) -> Path:
        """Return the name of a shard's part file."""
        return self.path / f"part-{index:05d}.parquet"

    def write_part(self, index: int, table: pa.Table) -> None:
        """Write a shard's triples, also if there are none."""
        self._replace(self.part_path(index), lambda file: pq.write_table(table, file, compression="zstd"))
        self.parts += 1

    def add_rejects(self, rejects: Sequence[Reject]) -> None:
        """Append to the list of rejects; a line that could not be written whole is taken back."""
        if not rejects:
            return
        lines = "".join(json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in rejects)
        path = self.path / REJECTS_FILE
        with self._reporting(path), path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                write_all(file, lines.encode())
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(size)
                raise

    def write_run(self, facts: Mapping[str, object]) -> None:
        """Write ``run.json`` anew."""
        content = (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()
        self._replace(self.path / RUN_FILE, lambda file: write_all(file, content))

    def clear(self) -> None:
        """Remove the files of an earlier run, its ``run.json`` last, and nothing else."""
        for path in sorted(self.path.glob(_PART_PATTERN)):
            path.unlink()
        for path in self.path.glob(f".*{TEMPORARY_SUFFIX}"):
            path.unlink()
        for name in (REJECTS_FILE, RUN_FILE):
            (self.path / name).unlink(missing_ok=True)

    def _replace(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        with self._reporting(path):
            replace_file(path, write)

    @contextmanager
    def _reporting(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"; complete so far: {counted(self.parts, 'part')}" if self.parts else ""
            raise OutputError(
                f"{path}: cannot be written: {error.strerror or error}{kept}; "
                "mend that, then run again with --overwrite"
            ) from error


def open_output(path: Path, overwrite: bool) -> OutputDirectory:
    """Make a directory ready for a run, with an empty list of rejects.

    Raises OutputError if it holds a run and ``overwrite`` isn't set, or if it holds anything that isn't ours.
    """
    check_output(path, overwrite)
    output = OutputDirectory(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        output.clear()
        (path / REJECTS_FILE).touch()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written to: {error.strerror}; give another directory with -o") from error
    return output


def check_output(path: Path, overwrite: bool) -> None:
    """Raise OutputError unless a run may write to this directory; change nothing.

    A run that ended without having read a document has nothing to lose, and may be replaced unasked.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is not a directory; give another one with -o")
    if not any(path.iterdir()):
        return
    run = _run_of(path)
    if run is None:
        raise OutputError(f"{path}: holds files but no run of zsre; give an empty or new directory with -o")
    status, documents = run
    if not overwrite and documents != 0:
        held = "a finished run" if status == "finished" else "a run that did not finish"
        raise OutputError(f"{path}: holds {held}; give another directory with -o, or replace it with --overwrite")


def _run_of(path: Path) -> tuple[str, int | None] | None:
    """Return status and number of documents from a directory's ``run.json``, or ``None`` for anything not ours.

    The number is ``None`` of a run that is under way or was killed.
    """
    try:
        run = json.loads((path / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    status = run.get("status") if isinstance(run, dict) and "zsre" in run else None
    if not isinstance(status, str):
        return None
    counts = run.get("counts")
    return status, counts.get("documents") if isinstance(counts, dict) else None
