"""The GPU that something runs on: what it is, and how busy it is, as NVIDIA's driver tells it."""

from __future__ import annotations

import logging
import subprocess
import threading
from contextlib import suppress
from typing import Final

logger = logging.getLogger(__name__)
_FORMAT: Final = "--format=csv,noheader,nounits"
QUERY: Final = ("nvidia-smi", "--query-gpu=memory.used,utilization.gpu", _FORMAT)
NAME_QUERY: Final = ("nvidia-smi", "--query-gpu=name", _FORMAT)


def gpu_name() -> str | None:
    """Return the name of the first GPU, or ``None`` if the driver's tool tells of none."""
    with suppress(OSError, subprocess.CalledProcessError):
        names = subprocess.run(NAME_QUERY, capture_output=True, text=True, check=True).stdout.splitlines()
        return names[0].strip() if names else None
    return None


class GpuWatch:
    """Looks at the GPU every second until it is stopped."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def figures(self) -> tuple[float | None, float | None]:
        """Return the most memory in use, in MB, and the mean utilisation in percent."""
        if not self._samples:
            return None, None
        memory, use = zip(*self._samples, strict=True)
        return max(memory), sum(use) / len(use)

    def _look(self) -> None:
        while not self._stopped.wait(1):
            try:
                found = subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout
                gpus = [tuple(map(float, line.split(","))) for line in found.splitlines()]
                self._samples.append((max(gpu[0] for gpu in gpus), max(gpu[1] for gpu in gpus)))
            except (OSError, subprocess.CalledProcessError, ValueError) as error:
                logger.warning("the GPU is not watched: %s", error)
                return
