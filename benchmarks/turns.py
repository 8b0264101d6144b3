"""Parties take turns, and a ratio is taken within each round, so that it holds when the machine's speed drifts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from benchmarks.plan import Figure

Counts = Mapping[str, float]


class Runner(Protocol):
    """A party that is ready."""

    @property
    def title(self) -> str:
        """Return what it is called."""

    def measure(self) -> Counts:
        """Take a turn; return seconds and counts."""


@dataclass(frozen=True)
class Paired:
    """Ratios of the same rounds, and their middle."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the median."""
        return median(self.values)


def take_turns(runners: Sequence[Runner], rounds: int) -> Iterator[dict[str, Counts]]:
    """Yield what each party made, round by round; each other round goes the other way about."""
    for number in range(rounds):
        order = runners if number % 2 == 0 else runners[::-1]
        yield {runner.title: runner.measure() for runner in order}


def value(figure: Figure, counts: Counts, baseline: bool = False) -> float:
    """Return the figure of a turn."""
    clock = figure.baseline_clock if baseline else figure.clock
    return counts[figure.name] / (1 if clock is None else counts[clock])


def best(values: Mapping[str, Sequence[float]], least: bool = False) -> str:
    """Return the party with the highest median, or with the lowest."""
    return (min if least else max)(values, key=lambda name: median(values[name]))


def paired(subject: Sequence[float], baseline: Sequence[float], inverse: bool = False) -> Paired:
    """Return what the subject makes of the baseline in each round, or with ``inverse`` the baseline of the subject."""
    ratios = (one / other for one, other in zip(subject, baseline, strict=True))
    return Paired(tuple(1 / ratio for ratio in ratios) if inverse else tuple(ratios))
