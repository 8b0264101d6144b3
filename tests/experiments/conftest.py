"""Made-up measurements, as zsre-eval and the protocol would leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.plan import Cell
from experiments.recipes import recipe
from experiments.records import LOGS, RECORDS

Measure = Callable[..., None]


def append(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def log(results: Path) -> Measure:
    """A function that adds a line for a cell to the log of its part, as zsre-eval does."""

    def add(cell: Cell, f1: float, **fields: Any) -> None:
        line = {
            "date": "2031-01-02T03:04:05+00:00", "model": cell.name, "fingerprint": "f" * 32,
            "data": f"{cell.dataset}.json.gz", "split": cell.split, "part": cell.part, "pairs": 700 * cell.m,
            "precision": f1 + 2, "recall": f1 - 2, "f1": f1, "sklearn_macro_f1": f1 - 1, "seconds": 7.0,
            "per_class": {}, "confusion_pairs": [],
        }  # fmt: skip
        append(results / LOGS[cell.part], line | fields)

    return add


@pytest.fixture
def measure(results: Path, log: Measure) -> Measure:
    """A function that makes a cell a measured one, with the F1 given."""

    def add(cell: Cell, f1: float, record: dict[str, Any] | None = None, **fields: Any) -> None:
        log(cell, f1, **fields)
        training = {"seconds": 120.0, "cpu_seconds": 180.0, "memory": 1500.0, "gpu_memory": None, "gpu_use": None}
        plain = {
            "cell": cell.name, "fingerprint": fields.get("fingerprint", "f" * 32), "device": "CPU, 2 cores",
            "training": training, "parameters": 23_771_581, "config": recipe(cell).to_dict(),
        }  # fmt: skip
        append(results / RECORDS, plain | (record or {}))

    return add
