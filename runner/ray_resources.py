"""How the CPUs and GPUs of a cluster are shared among workers, each of which lies on one machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import Final

#: CPUs for a worker where there is no GPU: reading and encoding overlap.
_CPUS: Final = 2
#: Ray counts CPUs and GPUs in ten-thousandths.
_PARTS: Final = 10_000


def machine_room(resources: Mapping[str, float], device: str) -> tuple[float, float]:
    """Return the CPUs of a machine and those of its GPUs that a run on a device can use, given what Ray says of it."""
    return resources.get("CPU", 0), 0 if device == "cpu" else resources.get("GPU", 0)


def worker_resources(nodes: Sequence[tuple[float, float]], workers: int | None) -> tuple[int, dict[str, float]]:
    """Return how many workers there are, and what each of them asks Ray for, so that all have room at the same time.

    ``nodes`` are the CPUs and GPUs of each machine. By default, there is a worker for each GPU, or for every two CPUs
    where there is none. All ask for the same, so that none is left over however Ray places them.
    """
    # A machine that is said to have no CPUs is meant to do no work.
    usable = [(cpus, int(gpus)) for cpus, gpus in nodes if cpus > 0]
    if not usable:
        # Perhaps the cluster grows when it is asked for more.
        return workers or 1, {"num_cpus": 1}
    gpus = sum(own for _, own in usable)
    if gpus:
        count = workers or gpus
        on_a_gpu = math.ceil(count / gpus)
        room = [(cpus, own * on_a_gpu) for cpus, own in usable]
        return count, {"num_cpus": _fair_share(room, count), "num_gpus": _rounded_down(1 / on_a_gpu)}
    if workers:
        return workers, {"num_cpus": _fair_share([(cpus, workers) for cpus, _ in usable], workers)}
    each = min(_CPUS, max(cpus for cpus, _ in usable))
    return sum(int(cpus // each) for cpus, _ in usable), {"num_cpus": each}


def _fair_share(room: Sequence[tuple[float, int]], count: int) -> float:
    """Return the most CPUs that so many workers can have each; ``room``: a machine's CPUs, and workers it may take.

    A machine that takes n workers has an nth of its CPUs for each of them, so the largest of these shares are handed
    out, one after the other, as seats are by D'Hondt's method.
    """
    shares = (cpus / number for cpus, most in room for number in range(1, most + 1))
    return _rounded_down(nlargest(count, shares)[-1])


def _rounded_down(amount: float) -> float:
    return int(amount * _PARTS) / _PARTS
