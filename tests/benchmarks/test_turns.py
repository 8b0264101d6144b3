from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from benchmarks.plan import Figure
from benchmarks.protocol import timed
from benchmarks.turns import Counts, best, paired, take_turns, value


@dataclass
class Fake:
    title: str
    log: list[str] = field(default_factory=list)

    def measure(self) -> Counts:
        self.log.append(self.title)
        return {"seconds": 2.0, "pairs": 10.0 * len(self.title)}


def test_ratios_are_taken_within_rounds() -> None:
    # The machine got twice as slow in the second round: the ratio of medians would be the same, and so is each ratio.
    ratios = paired([10.0, 5.0, 8.0], [1.0, 0.5, 0.4])
    assert ratios.values == (10.0, 10.0, 20.0)
    assert ratios.median == 10.0


def test_what_takes_less_is_compared_the_other_way_round() -> None:
    assert paired([0.5, 0.25], [5.0, 5.0], inverse=True).values == (10.0, 20.0)


def test_rounds_that_do_not_match_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0], [1.0])


def test_parties_take_turns_and_change_who_is_first() -> None:
    log: list[str] = []
    rounds = list(take_turns([Fake("a", log), Fake("bb", log)], 3))
    assert log == ["a", "bb", "bb", "a", "a", "bb"]
    assert rounds[1] == {"bb": {"seconds": 2.0, "pairs": 20.0}, "a": {"seconds": 2.0, "pairs": 10.0}}


def test_a_figure_is_a_count_by_a_clock() -> None:
    counts = {"seconds": 4.0, "own_seconds": 2.0, "flops": 8.0}
    figure = Figure("flops", "GFLOP/s", baseline_clock="own_seconds")
    assert (value(figure, counts), value(figure, counts, baseline=True)) == (2.0, 4.0)
    assert value(Figure("seconds", "s", clock=None), counts) == 4.0


def test_the_best_has_the_best_median() -> None:
    figures = {"one": [1.0, 9.0, 1.0], "two": [2.0, 2.0, 2.0]}
    assert (best(figures), best(figures, least=True)) == ("two", "one")


def test_work_is_repeated_until_it_has_taken_long_enough() -> None:
    once = timed(lambda: {"pairs": 3}, least=0)
    assert (once["passes"], once["pairs"]) == (1, 3)
    longer = timed(lambda: {"pairs": 3}, least=0.01)
    assert longer["seconds"] >= 0.01
    assert longer["passes"] > 1
    assert longer["pairs"] == 3 * longer["passes"]
