"""One process, one that was stopped and went on, a cluster, and a cluster that loses a worker: the same rows."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection
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
    kill_a_worker(losing.pid)
    said = losing.communicate()[1]
    if losing.returncode != 0:
        raise TrialError(f"a cluster that lost a worker ended with {losing.returncode}: {said[-2000:]}")
    identical[f"Ray, one of 2 workers killed after {parts} parts"] = outcome(folder / "losing") == expected

    started = start(command(corpus, folder / "both", *_CLUSTER))
    parts = _wait_for_parts(folder / "both", 5)
    # Once it is gone, nothing tells whose they were.
    own = _descendants(started.pid)
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()
    _end_of(own)
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


def kill_a_worker(driver: int) -> None:
    """Kill a process that works on shards for a driver, and none of another's."""
    for process in _descendants(driver):
        if _is_worker(process):
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
                return
    raise TrialError(f"no worker of process {driver} was found")


def _end_of(processes: Collection[int]) -> None:
    """Wait until no worker is left of the processes that a killed driver had started."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if not (left := [process for process in processes if _is_worker(process)]):
            return
        time.sleep(0.5)
    raise TrialError(f"workers are left of a driver that was killed: processes {', '.join(map(str, left))}")


def _is_worker(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::ShardWorker")
    return False


def _descendants(ancestor: int) -> list[int]:
    """Return the processes that one started, or that these started, as far as they run."""
    children: dict[int, list[int]] = defaultdict(list)
    for process in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        with suppress(OSError):
            # The name in parentheses may hold anything; the state and the parent come after it.
            after = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2]
            children[int(after.split()[1])].append(process)
    found = [ancestor]
    for process in found:
        found += children[process]
    return found[1:]
