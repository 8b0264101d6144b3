"""Runs of the whole command, as processes, and what makes two of them identical."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zsre.relations.errors import ZsreError

#: Low enough that every few sentences a triple is written: rows are what is compared.
THRESHOLD: Final = "0.05"
_DIGITS: Final = 4


class TrialError(ZsreError):
    """A trial that could not be carried out; what was tried and came out wrong is a finding, not an error."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run came to. Runs are identical if this is equal."""

    rows: int
    digest: str
    rejects: str
    counts: Mapping[str, Any]


def command(corpus: Path, output: Path, *flags: str, lines: int = 40) -> list[str]:
    """Return the command that extracts the whole catalogue, ``lines`` lines to a shard."""
    given = [str(corpus), "--relations", "wikidata", "--threshold", THRESHOLD, "--shard-lines", str(lines), "--quiet"]
    return [sys.executable, "-m", "zsre.runner.cli", *given, "-o", str(output), *flags]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)


def run(arguments: list[str], expected: int = 0) -> str:
    """Run a command and return what it says; raise TrialError for another exit code."""
    done = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != expected:
        raise TrialError(f"{' '.join(arguments)}: exit code {done.returncode}, not {expected}: {done.stderr[-2000:]}")
    return done.stderr.strip()


def outcome(output: Path) -> Outcome:
    """Return what a run came to: rows in their order, scores to four digits, rejects and counts."""
    facts = json.loads((output / "run.json").read_bytes())
    if facts["status"] != "finished":
        raise TrialError(f"{output}: {facts['status']}, not finished")
    table = pa.concat_tables(pq.read_table(part) for part in sorted(output.glob("part-*.parquet")))
    score = table.schema.get_field_index("score")
    table = table.set_column(score, "score", pc.round(table["score"], _DIGITS))
    rejects = hashlib.sha256((output / "rejects.jsonl").read_bytes()).hexdigest()
    rows = hashlib.sha256()
    for batch in table.combine_chunks().to_batches(max_chunksize=10_000):
        rows.update(json.dumps(batch.to_pylist()).encode())
    return Outcome(table.num_rows, rows.hexdigest(), rejects, facts["counts"])
