"""Running cells: train, measure, record, and go on after whatever stopped one."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from safetensors import safe_open

from experiments.plan import Cell
from experiments.recipes import eval_command, recipe, train_command
from experiments.records import LOGS, append_record, last_line, read_results
from experiments.usage import Usage, device, precision
from measuring.machine import commit
from zsre.relations.errors import OutputError, ZsreError
from zsre.relations.lock import FolderLock, HeldError
from zsre.trainer.beginning import read_reading
from zsre.trainer.checkpoint import FACTS, SPEED, WEIGHTS, is_started, read_run_config
from zsre.trainer.config import TrainConfig

logger = logging.getLogger(__name__)
TAKEN: Final = ".taken"
Execute = Callable[[Sequence[str]], Usage]


@dataclass(frozen=True)
class Places:
    """Where runs, logs and pages lie."""

    runs: Path = Path("runs")
    results: Path = Path("results")


def missing_cells(cells: Sequence[Cell], places: Places) -> list[Cell]:
    """Return the cells that are still to be measured."""
    found = read_results(cells, places.results)
    return [cell for cell in cells if cell not in found]


def run_cells(cells: Sequence[Cell], places: Places, execute: Execute, keep: bool = False) -> list[Cell]:
    """Measure those cells that are missing; return the ones that failed, each told when it did.

    Several processes may share the work: a cell that another one has at the moment is passed over.
    """
    missing = missing_cells(cells, places)
    logger.info("%d of %d cells are measured", len(cells) - len(missing), len(cells))
    failed = []
    for number, cell in enumerate(missing, start=1):
        try:
            with closing(take(cell, places)):
                if not missing_cells([cell], places):
                    continue  # by another process, meanwhile
                logger.info("[%d/%d] %s", number, len(missing), cell.name)
                run_cell(cell, places, execute, keep)
        except HeldError:
            logger.info("[%d/%d] %s is with another process", number, len(missing), cell.name)
        except (ZsreError, OSError) as error:
            logger.error("%s failed: %s", cell.name, error)
            failed.append(cell)
    return failed


def take(cell: Cell, places: Places) -> FolderLock:
    """Take a cell for this process until it is closed, or ends; raise HeldError if another one has it."""
    folder = places.runs / TAKEN / cell.name
    folder.mkdir(parents=True, exist_ok=True)
    return FolderLock(folder)


def run_cell(cell: Cell, places: Places, execute: Execute, keep: bool) -> None:
    """Train a cell, or go on with its training, measure it, and leave a record."""
    config, directory = recipe(cell), places.runs / cell.name
    measure = eval_command(cell, config, directory, places.results / LOGS[cell.part])
    places.results.mkdir(parents=True, exist_ok=True)
    clear_measured(directory)
    resumed = is_resumable(directory, config)
    training = execute(train_command(cell, directory, resumed))
    execute(measure)
    line = last_line(cell, places.results)
    record = {"cell": cell.name, "date": line["date"], "fingerprint": line["fingerprint"], "device": device()}
    record |= {"commit": commit(), "reading": read_reading(directory), "precision": precision(config)}
    # Of an interrupted training only the rest was watched.
    record |= {"training": None if resumed else {**costs(training), **read_speed(directory)}}
    record |= {"parameters": count_parameters(directory / WEIGHTS), "config": config.to_dict()}
    append_record(record, places.results)
    if not keep:
        (directory / WEIGHTS).unlink()


def clear_measured(directory: Path) -> None:
    """Remove what is left of a run whose weights were removed once it was measured."""
    if is_started(directory) and not (directory / WEIGHTS).exists() and was_trained(directory):
        shutil.rmtree(directory)


def is_resumable(directory: Path, config: TrainConfig) -> bool:
    """Tell whether a cell's training is to be gone on with.

    Raises OutputError for a run of another recipe, which is nobody's to remove but the user's.
    """
    if not is_started(directory):
        return False
    if read_run_config(directory) != config:
        raise OutputError(f"{directory}: holds a run of another recipe; remove it, or move it elsewhere")
    return True


def was_trained(directory: Path) -> bool:
    """Tell whether a run came to its end; if its weights are gone then, it was measured."""
    facts = directory / FACTS
    return facts.is_file() and bool(json.loads(facts.read_text(encoding="utf-8"))["finished"])


def costs(usage: Usage) -> dict[str, float | None]:
    """Return what is recorded of a command's use of the machine, rounded."""
    return {name: None if value is None else round(value, 1) for name, value in asdict(usage).items()}


def read_speed(directory: Path) -> dict[str, float]:
    """Return the examples that a run trained on in a second, loading and validation aside."""
    speed: dict[str, float] = json.loads((directory / SPEED).read_text(encoding="utf-8"))
    return speed


def count_parameters(weights: Path) -> int:
    """Count the numbers in a weights file without reading them."""
    with safe_open(str(weights), framework="np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
