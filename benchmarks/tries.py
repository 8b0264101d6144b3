"""What was tried to make encoding faster: each try beside what ships, in turns on the same sentences.

A try is what ships with some constants of zsre changed, so that it can be measured again whenever either changes.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from benchmarks.corpora import GIVEN, TEN
from benchmarks.page import TRIES as NAME
from benchmarks.plan import Figure, Row, Worker
from benchmarks.records import Line, rounded
from benchmarks.running import THREADS, Settings, open_runners
from benchmarks.turns import paired, take_turns, value

SPEED: Final = Figure("sentences", "sentences/s")
#: Sentences read in a turn.
READ: Final = 2_000
SHIPS: Final = "what ships"
logger = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Try:
    """Something that was tried: ``constants`` of zsre by their full names, and what was ``expected`` of it, and why."""

    name: str
    expected: str
    constants: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


_ENGINE: Final = "zsre.runner.engine"
_SESSION: Final = "zsre.runner.session"
TRIES: Final = (
    Try(
        "all threads on one batch of 2,048 tokens",
        "as fast: it is the same arithmetic",
        {f"{_SESSION}.THREADS_IN_A_RUN": THREADS, f"{_ENGINE}.CPU_TOKENS": 2048},
        {"threads": 1},
    ),
    Try(
        "batches of 128 tokens",
        "slower: products of few rows are slow",
        {f"{_ENGINE}.CPU_TOKENS": 128},
    ),
    Try("batches of 256 tokens", "as fast", {f"{_ENGINE}.CPU_TOKENS": 256}),
    Try(
        "batches of 2,048 tokens",
        "slower: what passes between two layers, 12 MB, is more than a cache holds",
        {f"{_ENGINE}.CPU_TOKENS": 2048},
    ),
    Try(
        "rows padded to multiples of 8",
        "3.5 tokens a row of 35 are padding: 0.9×",
        {f"{_ENGINE}.CPU_STEP": 8},
    ),
    Try(
        "one kernel to add and normalise",
        "one pass over memory less in each half of a layer: 1.02×",
        {f"{_SESSION}.CPU_DISABLED": []},
    ),
    Try(
        "bias and GELU in kernels of their own",
        "one pass over memory more in each layer: 0.97×",
        {f"{_SESSION}.CPU_DISABLED": ["SkipLayerNormFusion", "BiasGeluFusion"]},
    ),
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each try (default: 5)")
    command.add_argument("--items", type=int, metavar="N", help="read no more than N records, and record nothing")


def measure(rounds: int, settings: Settings, more: Mapping[str, Any]) -> list[Line]:
    """Measure every try beside what ships, and return their lines."""
    row = Row(NAME, SHIPS, "", SPEED, tuple(parties(settings)))
    figures: dict[str, list[float]] = {party.title: [] for party in row.subjects}
    with open_runners(row, settings) as runners:
        for number, turns in enumerate(take_turns(runners, rounds), start=1):
            logger.info("%s: round %d of %d", NAME, number, rounds)
            for title, counts in turns.items():
                figures[title].append(value(SPEED, counts))
    return [
        {
            "row": NAME,
            "variant": each.name,
            "expected": each.expected,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
            "unit": SPEED.unit,
            "figures": [rounded(figure) for figure in figures[each.name]],
            "median": rounded(median(figures[each.name])),
            "ratios": [rounded(ratio) for ratio in paired(figures[each.name], figures[SHIPS]).values],
        }
        for each in TRIES
    ]


def parties(settings: Settings) -> Iterator[Worker]:
    """Yield what ships, and what each try makes of it."""
    # A try of the command itself, of few sentences, is not repeated.
    seconds = 5 if settings.items is None else 0
    options = {"corpus": GIVEN, "items": READ, "relations": TEN, "stage": "encode", "seconds": seconds}
    yield Worker(SHIPS, "zsre_given", options)
    for each in TRIES:
        yield Worker(each.name, "zsre_given", {**options, **each.options, "constants": dict(each.constants)})
