"""Sentences a second of several ways of encoding, which take turns on the same sentences."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from benchmarks.corpora import GIVEN, TEN
from benchmarks.plan import Figure, Row, Worker
from benchmarks.records import rounded
from benchmarks.running import Settings, open_runners
from benchmarks.turns import paired, take_turns, value

SPEED: Final = Figure("sentences", "sentences/s")
#: Sentences read in a turn.
READ: Final = 2_000
logger = logging.getLogger("benchmarks")


def speeds(
    name: str, stage: str, ways: Mapping[str, Mapping[str, Any]], settings: Settings, rounds: int
) -> dict[str, list[float]]:
    """Return the figures of each round of every way, whose job of zsre_given has these options, up to ``stage``."""
    # A try of the command itself, of few sentences, is not repeated.
    seconds = 5 if settings.items is None else 0
    usual = {"corpus": GIVEN, "items": READ, "relations": TEN, "stage": stage, "seconds": seconds}
    row = Row(name, "", "", SPEED, tuple(Worker(title, "zsre_given", {**usual, **own}) for title, own in ways.items()))
    figures: dict[str, list[float]] = {title: [] for title in ways}
    with open_runners(row, settings) as runners:
        for number, turns in enumerate(take_turns(runners, rounds), start=1):
            logger.info("%s: round %d of %d", name, number, rounds)
            for title, counts in turns.items():
                figures[title].append(value(SPEED, counts))
    return figures


def speed_facts(own: Sequence[float], usual: Sequence[float]) -> dict[str, Any]:
    """Return what is recorded of the figures of a way: how they stand to those of the usual one in the same round."""
    return {
        "unit": SPEED.unit,
        "figures": [rounded(figure) for figure in own],
        "median": rounded(median(own)),
        "ratios": [rounded(ratio) for ratio in paired(own, usual).values],
    }
