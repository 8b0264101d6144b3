"""One process, one that was stopped and went on, a cluster, and a cluster that loses a worker: the same rows."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from trials.corpora import sentences
from trials.runs import TrialError, command, outcome, run, start

_CLUSTER = ("--engine", "ray", "--ray-workers", "2")
_PATIENCE = 300.0


def ways(folder: Path, documents: int = 2_000) -> dict[str, Any]:
    """Run each way, and compare."""
    corpus = sentences(folder, documents)
    run(command(corpus, folder / "local"))
    expected = outcome(folder / "local")
    identical = {}

    stopped = start(command(corpus, folder / "resumed"))
    parts = _wait_for_parts(folder / "resumed", 5)
    stopped.send_signal(signal.SIGINT)
    stopped.communicate()
    if stopped.returncode != 130:
        raise TrialError(f"an interrupted run ended with {stopped.returncode}, not 130")
    run(command(corpus, folder / "resumed"))
    identical[f"stopped by Ctrl-C after {parts} parts, then resumed"] = outcome(folder / "resumed") == expected

    run(command(corpus, folder / "cluster", *_CLUSTER))
    identical["Ray with 2 workers"] = outcome(folder / "cluster") == expected

    losing = start(command(corpus, folder / "losing", *_CLUSTER))
    parts = _wait_for_parts(folder / "losing", 5)
    killed = _kill_a_worker(losing.pid)
    said = losing.communicate()[1]
    if losing.returncode != 0:
        raise TrialError(f"a cluster that lost a worker ended with {losing.returncode}: {said[-2000:]}")
    identical[f"Ray, one of 2 workers killed after {parts} parts"] = killed and outcome(folder / "losing") == expected

    started = start(command(corpus, folder / "both", *_CLUSTER))
    parts = _wait_for_parts(folder / "both", 5)
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()
    _end_of(started.pid)
    run(command(corpus, folder / "both"))
    identical[f"Ray, all killed after {parts} parts, then resumed in one process"] = (
        outcome(folder / "both") == expected
    )
    return {"documents": documents, "rows": expected.rows, "identical": identical}


def _wait_for_parts(output: Path, count: int) -> int:
    """Wait until a run has written so many parts; return how many there are."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        found = len(list(output.glob("part-*")))
        if found >= count:
            return found
        time.sleep(0.05)
    raise TrialError(f"{output}: not {count} parts within {_PATIENCE:.0f} s")


def _kill_a_worker(driver: int) -> bool:
    """Kill a process that works on shards for a driver."""
    for process in _processes():
        with suppress(OSError):
            name = Path(f"/proc/{process}/cmdline").read_bytes()
            if name.startswith(b"ray::ShardWorker"):
                os.kill(process, signal.SIGKILL)
                return True
    raise TrialError(f"no worker of process {driver} was found")


def _end_of(driver: int) -> None:
    """Wait until the processes that a killed driver had started have noticed."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if not any(_is_worker(process) for process in _processes()):
            return
        time.sleep(0.5)
    raise TrialError(f"workers of process {driver} are left")


def _is_worker(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::ShardWorker")
    return False


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
