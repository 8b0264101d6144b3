"""Means over the cells behind one row of a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

from experiments.plan import Cell
from experiments.records import Line, Result, Results


@dataclass(frozen=True)
class Mean:
    """Mean figures of ``runs`` cells out of ``wanted``, in percent; ``spread`` is the standard deviation of F1."""

    runs: int
    wanted: int
    precision: float
    recall: float
    f1: float
    spread: float | None

    @property
    def behind(self) -> str:
        """Return how many runs stand behind the figures, as tables say it."""
        return str(self.runs) if self.runs == self.wanted else f"{self.runs} of {self.wanted}"


@dataclass(frozen=True)
class WholeFigures:
    """Figures over the whole relations among those tested, in percent, and how many pairs state them."""

    relations: int
    pairs: int
    precision: float
    recall: float
    f1: float


def measured(cells: Iterable[Cell], results: Results) -> list[Result]:
    """Return the results of those cells that have one."""
    return [results[cell] for cell in cells if cell in results]


def mean_of(cells: Sequence[Cell], results: Results) -> Mean | None:
    """Return the mean figures of the cells that were run, or None if none was."""
    figures = [result.figures for result in measured(cells, results)]
    if not figures:
        return None
    precision, recall, f1 = (list(column) for column in zip(*figures, strict=True))
    spread = stdev(f1) if len(f1) > 1 else None
    return Mean(len(f1), len(cells), fmean(precision), fmean(recall), fmean(f1), spread)


def whole_figures(line: Line, whole: Collection[str]) -> WholeFigures | None:
    """Return the figures over the relations of a measurement that are whole, or None if none of them is.

    Pairs were classified among all relations of the test; only the means are taken over fewer, as in the paper's
    metric: of precision over those that were given at all, of recall over those that occur.
    """
    scores = {relation: found for relation, found in line["per_class"].items() if relation in whole}
    if not scores:
        return None
    given_wrongly = {given for _, given, *_ in line["confusion_pairs"]}
    given = [found["precision"] for name, found in scores.items() if found["precision"] or name in given_wrongly]
    precision = fmean(given) if given else 0.0
    recall = fmean(found["recall"] for found in scores.values() if found["pairs"])
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return WholeFigures(len(scores), sum(found["pairs"] for found in scores.values()), precision, recall, f1)


@cache
def published() -> Mapping[str, Any]:
    """Return the figures that the paper gives in its tables."""
    return _read("published.yaml")


@cache
def whole_relations() -> frozenset[str]:
    """Return the relations of Wiki-ZSL that are no samples."""
    return frozenset(_read("wikizsl.yaml")["whole"])


def _read(name: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return data
