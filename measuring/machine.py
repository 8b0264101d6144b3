"""The commit and the kind of machine that a record names, and how many processors a measurement uses."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from zsre.runner.eval_log import current_commit

ROOT: Final = Path(__file__).parents[1]
#: On how many processors things are compared.
PROCESSORS: Final = 2


def machine(processors: int, gpu: str | None = None) -> dict[str, object]:
    """Say what kind of machine this is, with the GPU if one is used, and nothing that tells it from others like it."""
    name, memory = platform.machine(), None
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line.partition(":")[2] for line in info.read_text("utf-8").splitlines() if line.startswith("model name")
        ]
        name = models[0].strip() if models else name
    if hasattr(os, "sysconf"):
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    found = {"processor": name, "used": processors, "memory_gb": memory, "python": platform.python_version()}
    return {**found, "gpu": gpu} if gpu else found


def commit() -> str:
    """Return the commit that was measured, with a plus sign if files other than results differ from it."""
    return current_commit() or "unknown"


def use_processors(count: int = PROCESSORS) -> int:
    """Keep this process, and whatever it starts, to so many processors; return how many it has."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    chosen = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, chosen)
    return len(chosen)
