"""Very many small documents: memory and open files over time, and who can read what was written."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from trials.corpora import sentences
from trials.runs import TrialError, command, outcome, start

_LOOK: Final = 0.5


def _pyarrow(pattern: str) -> int:
    dataset: Any = importlib.import_module("pyarrow.dataset")
    return int(dataset.dataset(str(Path(pattern).parent), format="parquet", exclude_invalid_files=True).count_rows())


def _duckdb(pattern: str) -> int:
    duckdb: Any = importlib.import_module("duckdb")
    ((count, _),) = duckdb.sql(f"select count(*), max(score) from '{pattern}'").fetchall()
    return int(count)


def _polars(pattern: str) -> int:
    return int(importlib.import_module("polars").read_parquet(pattern).height)


def _pandas(pattern: str) -> int:
    pandas: Any = importlib.import_module("pandas")
    return sum(len(pandas.read_parquet(part)) for part in sorted(Path(pattern).parent.glob("part-*.parquet")))


_READERS: Final[Mapping[str, Callable[[str], int]]] = {
    "pyarrow": _pyarrow,
    "duckdb": _duckdb,
    "polars": _polars,
    "pandas": _pandas,
}


def many(folder: Path, documents: int = 100_000) -> dict[str, Any]:
    """Extract from very many one-sentence documents, and look at the process while it works."""
    missing = [name for name in _READERS if importlib.util.find_spec(name) is None]
    if missing:
        raise TrialError(f"what was written is read with them, too: pip install {' '.join(missing)}")
    _check_readers(folder)
    corpus = sentences(folder, documents)
    output = folder / "out"
    began = time.monotonic()
    process = start(command(corpus, output, lines=5_000))
    looks: list[tuple[int, int, int]] = []
    while process.poll() is None:
        with suppress(OSError, ValueError):
            looks.append((len(list(output.glob("part-*"))), _memory(process.pid), _files(process.pid)))
        time.sleep(_LOOK)
    if process.returncode:
        raise TrialError(f"exit code {process.returncode}: {process.communicate()[1][-2000:]}")
    seconds = time.monotonic() - began
    came_to = outcome(output)
    parts = max(done for done, _, _ in looks)
    quarters = []
    for quarter in range(4):
        own = [look for look in looks if quarter * parts < 4 * look[0] <= (quarter + 1) * parts]
        quarters.append({"memory_mb": max(memory for _, memory, _ in own), "files": max(files for *_, files in own)})
    return {
        "documents": documents,
        "rows": came_to.rows,
        "parts": parts,
        "seconds": round(seconds),
        "part_bytes": sum(part.stat().st_size for part in output.glob("part-*")),
        "quarters": quarters,
        "read_by": {_version(name): read(f"{output}/part-*.parquet") for name, read in _READERS.items()},
    }


def _check_readers(folder: Path) -> None:
    """Raise TrialError if one of the readers can't read a file that is as simple as can be: now, not in the end."""
    pattern = f"{folder}/part-*.parquet"
    path = folder / "part-00000.parquet"
    pq.write_table(pa.table({"score": [0.5, 0.25]}), path)
    for name, read in _READERS.items():
        if (rows := read(pattern)) != 2:
            raise TrialError(f"{name} reads {rows} rows of a file with two")
    path.unlink()


def _memory(process: int) -> int:
    """Return the resident memory of a process, in MB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines())
    return round(int(fields["VmRSS"].split()[0]) / 1000)


def _files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def _version(name: str) -> str:
    return f"{name} {importlib.import_module(name).__version__}"
