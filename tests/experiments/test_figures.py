"""Figures hold recorded results, and are not drawn without any."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure as Canvas

from experiments.figures import FIGURES, Axes, draw_figures
from experiments.plan import SWEEPS, main_cells, plan, sweep_cells
from experiments.records import Results, read_results
from tests.experiments.conftest import Measure

PNG = b"\x89PNG"


@pytest.fixture
def found(results: Path, measure: Measure) -> Results:
    for f1, cell in zip((90, 92, 91, 89, 93), main_cells("cpu", "sdzre", "fewrel", 5), strict=True):
        measure(cell, f1)
    measure(main_cells("cpu", "sdzre", "fewrel", 10)[0], 70)
    for number, cell in enumerate(main_cells("cpu", "re_matching", "wikizsl", 10)):
        measure(cell, 60 + number, pairs=1000 * (1 + number), seconds=2.0 * (1 + number))
    for value in (0.03, 0.2, 0.05):
        measure(sweep_cells("cpu", SWEEPS[2], "fewrel")[value], 80 + value)
    return read_results(plan("cpu"), results)


def _axes() -> Axes:
    return Canvas().add_subplot()


def _lines(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}
    for container in axes.containers:
        lines[container.get_label()] = (list(container[0].get_xdata()), list(container[0].get_ydata()))
    return lines


def _drawn(number: int, index: int, found: Results) -> tuple[bool, Axes]:
    panel = next(figure for figure in FIGURES if figure.number == number).panels[index]
    axes = _axes()
    return panel(axes, "cpu", found), axes


def test_figures_that_have_data_are_drawn_and_named_by_their_profile(found: Results, tmp_path: Path) -> None:
    drawn = draw_figures("cpu", found, tmp_path / "figures")
    assert [(figure.number, path.name) for figure, path in drawn] == [
        (7, "cpu-f1-over-m.png"), (9, "cpu-f1-over-time.png"),
        (11, "cpu-temperature.png"), (12, "cpu-augmentation.png"),
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(PNG) for _, path in drawn)


def test_a_data_set_without_results_takes_no_room(found: Results, tmp_path: Path) -> None:
    alone = {cell: result for cell, result in found.items() if cell.dataset == "fewrel"}
    both, one = (draw_figures("cpu", each, tmp_path)[0][1].read_bytes() for each in (found, alone))
    width = slice(16, 20)  # of a PNG, in pixels
    assert int.from_bytes(one[width]) < int.from_bytes(both[width])


def test_without_data_nothing_is_drawn_and_old_figures_are_removed(found: Results, tmp_path: Path) -> None:
    draw_figures("cpu", found, tmp_path)
    assert draw_figures("paper", found, tmp_path) == [] and len(list(tmp_path.glob("cpu-*.png"))) == 4
    assert draw_figures("cpu", {}, tmp_path) == [] and not list(tmp_path.glob("*.png"))


def test_the_same_results_give_the_same_file(found: Results, tmp_path: Path) -> None:
    first, second = (draw_figures("cpu", found, tmp_path / name)[0][1].read_bytes() for name in "ab")
    assert first == second


def test_f1_over_m_is_the_mean_over_all_partitions(found: Results) -> None:
    has_data, axes = _drawn(7, 0, found)
    lines = _lines(axes)
    assert has_data and lines["SDZRE"] == ([5], [91])
    assert lines["SDZRE, published"] == ([5, 10, 15], [97.79, 91.66, 80.06])
    has_data, axes = _drawn(7, 1, {})
    assert not has_data and "SDZRE" not in _lines(axes)


def test_f1_over_time_is_by_the_logged_seconds(found: Results) -> None:
    assert _drawn(9, 0, found)[0] is False
    has_data, axes = _drawn(9, 1, found)
    (points,) = axes.collections
    assert has_data and points.get_offsets().tolist() == [[2.0, 62.0]]


def test_a_sweep_shows_the_values_that_were_run(found: Results) -> None:
    has_data, axes = _drawn(11, 0, found)
    assert has_data and _lines(axes)["FewRel, 3 of 6 not run"] == ([0.03, 0.05, 0.2], [80.03, 80.05, 80.2])
    # Each value has its place, whether it was run or not.
    assert axes.get_xticks().tolist() == list(SWEEPS[2].values)
    # The cell of the usual values belongs to every sweep of SDZRE, but margins are swept with the paper's loss.
    assert _lines(_drawn(12, 1, found)[1])["FewRel, 5 of 6 not run"] == ([0.2], [80.05])
    assert not _drawn(10, 0, found)[0]


def test_each_figure_of_the_paper_is_there_once() -> None:
    assert [(figure.number, len(figure.panels)) for figure in FIGURES] == [(7, 2), (9, 2), (10, 2), (11, 1), (12, 2)]
    assert sum(len(figure.panels) for figure in FIGURES if figure.number >= 10) == len(SWEEPS)
