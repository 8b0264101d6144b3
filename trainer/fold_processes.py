"""Training the models of the folds beside the run's own, each in a process of its own.

A step has parts that one thread does alone: with a model for each core, no core waits meanwhile.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Semaphore

from zsre.relations.errors import ZsreError
from zsre.trainer.beginning import read_reading, start_run
from zsre.trainer.checkpoint import is_finished, is_started
from zsre.trainer.config import TrainConfig
from zsre.trainer.folds import FOLDS, dealt_folds, fold_config

logger = logging.getLogger(__name__)


@contextmanager
def folds_beside(
    config: TrainConfig, directory: Path, relations: Sequence[str], processes: int, flags: Sequence[str]
) -> Iterator[None]:
    """Train the models of a run's folds while the body trains its own, ``processes`` at a time with that one.

    ``relations`` are those that the run sees; ``flags`` go to every process. The end waits for all of them. An error
    in the body, Ctrl-C too, stops them where their last checkpoints are. So does a process that fails, at
    once, which raises ZsreError with what it said once the body is done.
    """
    folders = [directory / FOLDS / str(number) for number in range(config.calibration.folds)]
    for folder, fold in zip(folders, dealt_folds(config, relations), strict=True):
        if not is_started(folder):
            start_run(folder, fold_config(config, folder, fold), read_reading(directory))
    fleet = _Fleet(Semaphore(processes), flags)
    with ThreadPoolExecutor(len(folders)) as pool:
        try:
            with fleet.permits:
                trained = [pool.submit(fleet.train, folder) for folder in folders if not is_finished(folder)]
                yield
            for each in trained:
                each.result()
        except BaseException:
            fleet.stop()
            raise


@dataclass
class _Fleet:
    """Processes under way, no more than there are permits; none starts after they were stopped."""

    permits: Semaphore
    flags: Sequence[str]
    running: set[subprocess.Popen[str]] = field(default_factory=set)
    stopped: bool = False
    lock: Lock = field(default_factory=Lock)

    def train(self, folder: Path) -> None:
        with self.permits:
            command = [sys.executable, "-P", "-m", "zsre.trainer.cli", "--resume", str(folder), "--quiet", *self.flags]
            with self.lock:
                if self.stopped:
                    return
                process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
                self.running.add(process)
            _, said = process.communicate()
            with self.lock:
                self.running.discard(process)
                if self.stopped:
                    return
            if process.returncode:
                self.stop()
                last = said.strip().rpartition("\n")[2] or f"exit code {process.returncode}"
                raise ZsreError(f"{folder}: {last}")
            logger.info("%s: done", folder)

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.terminate()
