"""What was measured: the log that zsre-eval writes, and beside it what each run was made with and took."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.plan import Cell, Part
from experiments.recipes import recipe
from zsre.relations.errors import ConfigError, DataError
from zsre.trainer.config import TrainConfig, parse_config

RECORDS: Final = "experiments.jsonl"
LOGS: Final[Mapping[Part, str]] = {"test": "test-runs.jsonl", "eval": "eval-runs.jsonl"}
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """A measured cell: the line of zsre-eval's log, and the record of the run; figures are in percent."""

    cell: Cell
    line: Line
    record: Line

    @property
    def f1(self) -> float:
        """Return F1 in the paper's metric."""
        return float(self.line["f1"])

    @property
    def figures(self) -> tuple[float, float, float]:
        """Return precision, recall and F1 in the paper's metric."""
        return float(self.line["precision"]), float(self.line["recall"]), self.f1


Results = Mapping[Cell, Result]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a log, or nothing if there is none yet; raise DataError for a line that is damaged."""
    if not path.is_file():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if text.strip():
            try:
                lines.append(json.loads(text))
            except ValueError as error:
                raise DataError(f"{path}, line {number}: is not JSON ({error}); mend or remove it") from error
    return lines


def read_results(cells: Iterable[Cell], folder: Path) -> dict[Cell, Result]:
    """Return the cells that were measured under the recipe that they have today, each with its last measurement."""
    records = defaultdict(list)
    for record in read_lines(folder / RECORDS):
        records[record["cell"]].append(record)
    logs = {part: _by_model(read_lines(folder / name)) for part, name in LOGS.items()}
    results = {}
    for cell in cells:
        for record in reversed(records[cell.name]):
            line = logs[cell.part].get((cell.name, record["fingerprint"]))
            if line and (line["split"], line["part"]) == (cell.split, cell.part) and made_with(record, recipe(cell)):
                results[cell] = Result(cell, line, record)
                break
    return results


def made_with(record: Line, config: TrainConfig) -> bool:
    """Tell whether a run was made with a recipe.

    A field that did not exist at the time counts as its default, which leaves out what it switches on.
    """
    try:
        return parse_config(record["config"], record["cell"]) == config
    except ConfigError:
        return False


def last_line(cell: Cell, folder: Path) -> Line:
    """Return the line that measuring a cell has just left in the log; raise DataError if there is none."""
    path = folder / LOGS[cell.part]
    lines = [line for line in read_lines(path) if line["model"] == cell.name]
    if not lines:
        raise DataError(f"{path}: has no line of {cell.name}, which was measured")
    return lines[-1]


def append_record(record: Line, folder: Path) -> None:
    """Add a record; everything that is rendered comes from these and the logs."""
    with (folder / RECORDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def count_measurements(folder: Path) -> Counter[tuple[str, str]]:
    """Count the measurements on test relations by data file and split, whatever was measured."""
    return Counter((line["data"], line["split"] or "–") for line in read_lines(folder / LOGS["test"]))


def _by_model(lines: Iterable[Line]) -> dict[tuple[str, str], Line]:
    return {(line["model"], line["fingerprint"]): line for line in lines}
