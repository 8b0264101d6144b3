"""Starting parties and giving them their turns: workers that stay loaded, and whole commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.plan import Command, Party, Row, Worker
from benchmarks.turns import Counts
from measuring.gpu import GpuWatch
from measuring.machine import PROCESSORS, ROOT
from zsre.relations.errors import ZsreError

EXTRACT: Final = ("-m", "zsre.runner.cli")
THREADS: Final = PROCESSORS
#: Seconds between looks at memory, or at whether a part is there.
LOOK: Final = 0.02
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip


class PartyError(ZsreError):
    """A party that broke; what it had to say stands above."""


@dataclass(frozen=True)
class Settings:
    """Where things are, and what the command line changed.

    ``model`` takes the place of the model that ships; ``items`` bounds what a worker reads and a command's documents;
    every party has as many ``threads``.
    """

    data: Path
    competitors: str
    python: str = sys.executable
    model: Path | None = None
    items: int | None = None
    threads: int = THREADS

    def fewer(self, count: int) -> int:
        """Return a count, bounded."""
        return count if self.items is None else min(count, self.items)


class WorkerRunner:
    """A worker that has loaded and warmed up."""

    def __init__(self, worker: Worker, settings: Settings) -> None:
        self.title = worker.title
        self._on_gpu = worker.options.get("device") == "cuda"
        python = settings.python if worker.zsre else settings.competitors
        command = [python, "-m", f"benchmarks.parties.{worker.module}"]
        try:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(settings.threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            raise PartyError(f"{self.title}: {python} cannot be started ({error.strerror}); see make bench") from error
        self.facts = self._ask(json.dumps(job(worker, settings)))

    def measure(self) -> Counts:
        """Let it work once; where it uses a GPU, tell how busy that was."""
        if not self._on_gpu:
            return self._ask("go")
        watch = GpuWatch()
        try:
            counts = self._ask("go")
        finally:
            watch.stop()
        memory, use = watch.figures()
        return counts if memory is None or use is None else {**counts, "gpu_mb": memory, "gpu_use": use}

    def close(self) -> None:
        """End it."""
        with suppress(BrokenPipeError):
            _stream(self._process.stdin).close()
        self._process.wait()

    def _ask(self, line: str) -> dict[str, Any]:
        try:
            _stream(self._process.stdin).write(line + "\n")
            _stream(self._process.stdin).flush()
        except BrokenPipeError:
            pass
        answer = _stream(self._process.stdout).readline()
        if not answer:
            raise PartyError(f"{self.title}: it ended with exit code {self._process.wait()}; see above")
        found: dict[str, Any] = json.loads(answer)
        return found


class CommandRunner:
    """A whole command, started anew for each turn."""

    facts: Mapping[str, object]

    def __init__(self, command: Command, settings: Settings, kept: Path) -> None:
        self.title = command.title
        self._command, self._settings, self._kept = command, settings, kept
        self.facts = {}
        if command.before:
            spent = self._run(command.before)
            self.facts = {"before_seconds": round(spent["seconds"], 2)}

    def measure(self) -> Counts:
        """Run it once."""
        return self._run(self._command.arguments)

    def close(self) -> None:
        """Do nothing: it has ended."""

    def _run(self, arguments: Sequence[str]) -> Counts:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.triples"
            filled = [own.format(data=self._settings.data, kept=self._kept, out=out) for own in arguments]
            if self._settings.model:
                filled += ["--model", str(self._settings.model)]
            limit = self._settings.items if self._command.limit is None else self._settings.fewer(self._command.limit)
            # What is kept of a corpus is read whole.
            if limit is not None and str(self._kept) != filled[0]:
                filled += ["--limit", str(limit)]
            counts = run_whole([self._settings.python, *EXTRACT, *filled], out if self._command.until_part else None)
            return {**counts, **written(out)}


@contextmanager
def open_runners(row: Row, settings: Settings) -> Iterator[list[WorkerRunner | CommandRunner]]:
    """Start a row's parties, one after the other, and end them all."""
    runners: list[WorkerRunner | CommandRunner] = []
    kept = Path(tempfile.mkdtemp()) / "kept"
    try:
        # Baselines first: what one of them keeps, the subject may read.
        for party in reversed(row.parties):
            runners.insert(0, open_runner(party, settings, kept))
        yield runners
    finally:
        for runner in runners:
            runner.close()
        shutil.rmtree(kept.parent, ignore_errors=True)


def open_runner(party: Party, settings: Settings, kept: Path) -> WorkerRunner | CommandRunner:
    """Start a party."""
    return WorkerRunner(party, settings) if isinstance(party, Worker) else CommandRunner(party, settings, kept)


def job(worker: Worker, settings: Settings) -> dict[str, Any]:
    """Return what a worker is told."""
    told: dict[str, Any] = {"threads": settings.threads, "model": str(settings.model or ""), **worker.options}
    for name in ("items", "of"):
        if name in told:
            told[name] = settings.fewer(told[name])
    for name in ("corpus", "relations"):
        if name in told and (settings.data / told[name]).is_file():
            told[name] = str(settings.data / told[name])
    return told


def run_whole(command: Sequence[str], until: Path | None) -> Counts:
    """Run a command; return its seconds and the most memory that it and its children held.

    With ``until`` the clock stops when that folder holds its first part; the command still runs to its end.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment())
    watch = Watch(process.pid, until, start)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.stop()
    if process.returncode:
        raise PartyError(f"{' '.join(command[1:5])} …: it ended with exit code {process.returncode}; see above")
    seconds = elapsed if until is None else watch.part_seconds or elapsed
    return {"seconds": seconds, "peak_mb": max(watch.peak, usage.ru_maxrss / 1024)}


@dataclass
class Watch:
    """Looks at a process and its children until it is stopped: their memory in MB, and whether a part is there."""

    pid: int
    until: Path | None
    start: float
    peak: float = 0.0
    part_seconds: float | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK):
            self.peak = max(self.peak, tree_memory(self.pid))
            if self.until and self.part_seconds is None and any(self.until.glob("part-*.parquet")):
                self.part_seconds = time.perf_counter() - self.start


def tree_memory(pid: int) -> float:
    """Return what a process and its descendants hold now, in MB; 0 where the system doesn't tell."""
    total = 0.0
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        total = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(map(tree_memory, map(int, (task / "children").read_text(encoding="ascii").split())))
    return total


def written(out: Path) -> dict[str, float]:
    """Return how many documents a run read, and how many triples it wrote."""
    path = out / "run.json"
    if not path.is_file():
        return {}
    counts = json.loads(path.read_text(encoding="utf-8")).get("counts", {})
    return {name: counts[name] for name in ("documents", "sentences", "triples") if name in counts}


def environment(threads: int = THREADS) -> dict[str, str]:
    """Return the environment of every party: so many threads, and no network."""
    return {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads)), "HF_HUB_OFFLINE": "1"}


def saves_pairs(settings: Settings) -> bool:
    """Tell whether this zsre-extract can keep vectors."""
    told = subprocess.run([settings.python, *EXTRACT, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    return "--save-pairs" in told.stdout


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
