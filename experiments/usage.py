"""Running a command, and what it took: seconds, processor, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import torch

from measuring.gpu import GpuWatch
from zsre.relations.errors import ZsreError
from zsre.trainer.config import TrainConfig
from zsre.trainer.loop import wants_bf16
from zsre.trainer.setup import choose_device

#: What the commands of zsre return when they are interrupted.
INTERRUPTED: Final = 130


class CommandError(ZsreError):
    """A command that failed; what it had to say, it said itself."""


@dataclass(frozen=True)
class Usage:
    """What a command took: wall-clock and processor seconds, the most memory in MB, and GPU figures if it had one.

    ``memory`` is no less than what this process held when it started the command. ``gpu_memory`` is the most that was
    in use on the whole GPU, ``gpu_use`` its mean utilisation in percent.
    """

    seconds: float
    cpu_seconds: float | None = None
    memory: float | None = None
    gpu_memory: float | None = None
    gpu_use: float | None = None


def device() -> str:
    """Name what torch computes on."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cores = torch.get_num_threads()
    return f"CPU, {cores} core" + ("" if cores == 1 else "s")


def precision(config: TrainConfig) -> str:
    """Name what the encoder of a recipe trains in on this machine."""
    return "bf16" if wants_bf16(config.optim.precision, choose_device("auto")) else "fp32"


def execute(command: Sequence[str]) -> Usage:
    """Run a command to its end; raise CommandError if it fails, KeyboardInterrupt if it was interrupted."""
    watch = GpuWatch() if torch.cuda.is_available() else None
    start = time.perf_counter()
    process = subprocess.Popen(command)
    try:
        code, cpu_seconds, memory = _wait(process)
    except KeyboardInterrupt:
        # A terminal interrupts the command too, which then saves where it stands.
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        if watch:
            watch.stop()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise CommandError(f"{' '.join(command[1:4])} ended with exit code {code}")
    memory_used, use = watch.figures() if watch else (None, None)
    return Usage(time.perf_counter() - start, cpu_seconds, memory, memory_used, use)


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, float | None, float | None]:
    """Return a process's exit code, and where the system tells it, processor seconds and peak memory in MB."""
    if not hasattr(os, "wait4"):
        return process.wait(), None, None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
