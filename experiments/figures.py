"""The paper's figures, drawn from recorded results; what has no data is not drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from experiments.plan import COMPARED_M, DATASETS, MAIN, SWEEPS, UNSEEN, Sweep, main_cells, sweep_cells
from experiments.records import Results
from experiments.summary import mean_of, measured, published
from experiments.tables import TITLES

COLOURS: Final = {"sdzre": "tab:blue", "re_matching": "tab:orange", "fewrel": "tab:blue", "wikizsl": "tab:green"}
DPI: Final = 120
Axes = Any


@dataclass(frozen=True)
class Figure:
    """A figure of the paper: its number there, a title, and what draws its panels.

    Each panel draws on the axes that it is given and tells whether it had anything to draw.
    """

    number: int
    name: str
    title: str
    panels: tuple[Callable[[Axes, str, Results], bool], ...]


def draw_figures(profile: str, results: Results, folder: Path) -> list[tuple[Figure, Path]]:
    """Draw each figure that has data, and remove the others; return those drawn with their files."""
    import matplotlib as mpl

    mpl.use("Agg")
    drawn = []
    for figure in FIGURES:
        path = folder / f"{profile}-{figure.name}.png"
        if _draw(figure, profile, results, path):
            drawn.append((figure, path))
        else:
            path.unlink(missing_ok=True)
    return drawn


def _draw(figure: Figure, profile: str, results: Results, path: Path) -> bool:
    from matplotlib import pyplot as plt

    scratch, axes = plt.subplots()
    panels = [panel for panel in figure.panels if panel(axes, profile, results)]
    plt.close(scratch)
    if not panels:
        return False
    count = len(panels)
    canvas, grid = plt.subplots(1, count, figsize=(1 + 4.5 * count, 4), layout="constrained", squeeze=False)
    for panel, axes in zip(panels, grid[0], strict=True):
        panel(axes, profile, results)
        axes.grid(alpha=0.3)
        axes.legend()
    canvas.suptitle(f"{figure.title} (profile {profile})")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version of matplotlib, the same data give the same file.
    canvas.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(canvas)
    return True


def _over_m(dataset: str) -> Callable[[Axes, str, Results], bool]:
    """Return the panel of one data set in Fig. 7."""

    def panel(axes: Axes, profile: str, results: Results) -> bool:
        found = False
        for experiment in reversed(MAIN):
            colour, title = COLOURS[experiment], TITLES[experiment]
            paper = [published()["table1"][m][title][dataset][2] for m in UNSEEN]
            axes.plot(UNSEEN, paper, "--", color=colour, alpha=0.5, label=f"{title}, published")
            means = {m: mean_of(main_cells(profile, experiment, dataset, m), results) for m in UNSEEN}
            # Partitions differ by more than methods do, so a mean of some of them says nothing beside the others.
            points = {m: mean for m, mean in means.items() if mean and mean.runs == mean.wanted}
            if points:
                found = True
                spread = [mean.spread or 0.0 for mean in points.values()]
                f1 = [mean.f1 for mean in points.values()]
                axes.errorbar(list(points), f1, yerr=spread, marker="o", capsize=3, color=colour, label=title)
        axes.set(xlabel="unseen relations (m)", ylabel="F1 (%)", title=DATASETS[dataset].title, xticks=UNSEEN)
        return found

    return panel


def _over_time(dataset: str) -> Callable[[Axes, str, Results], bool]:
    """Return the panel of one data set in Fig. 9."""

    def panel(axes: Axes, profile: str, results: Results) -> bool:
        found = False
        for experiment in reversed(MAIN):
            cells = main_cells(profile, experiment, dataset, COMPARED_M)
            runs = measured(cells, results)
            if len(runs) == len(cells):
                found = True
                milliseconds = fmean(1000 * run.line["seconds"] / run.line["pairs"] for run in runs)
                f1 = fmean(run.f1 for run in runs)
                axes.scatter(milliseconds, f1, color=COLOURS[experiment], label=TITLES[experiment])
        axes.set(xlabel="milliseconds a pair", ylabel="F1 (%)", title=DATASETS[dataset].title)
        axes.margins(x=0.3, y=0.2)
        axes.set_xlim(left=0)
        return found

    return panel


def _over_values(sweep: Sweep) -> Callable[[Axes, str, Results], bool]:
    """Return the panel of one sweep, in Figs. 10 to 12."""

    def panel(axes: Axes, profile: str, results: Results) -> bool:
        found = False
        for dataset in sweep.datasets:
            cells = sweep_cells(profile, sweep, dataset)
            points = {value: results[cell].f1 for value, cell in cells.items() if cell in results}
            found = found or bool(points)
            missing = len(cells) - len(points)
            title = DATASETS[dataset].title + (f", {missing} of {len(cells)} not run" if missing else "")
            axes.plot(list(points), list(points.values()), "o-", color=COLOURS[dataset], label=title)
        if found:
            axes.axvline(sweep.usual, color="grey", linestyle=":", label="everywhere else")
            axes.set_xticks(sweep.values)
        axes.set(xlabel=sweep.title, ylabel="F1 on eval relations (%)")
        return found

    return panel


def _sweeps(*fields: str) -> tuple[Callable[[Axes, str, Results], bool], ...]:
    return tuple(_over_values(sweep) for sweep in SWEEPS if sweep.field in fields)


def _both(panel: Callable[[str], Callable[[Axes, str, Results], bool]]) -> Sequence[Any]:
    return [panel(dataset) for dataset in DATASETS]


FIGURES: Final = (
    Figure(7, "f1-over-m", "F1 over the number of unseen relations", tuple(_both(_over_m))),
    Figure(9, "f1-over-time", f"F1 against inference time, m = {COMPARED_M}", tuple(_both(_over_time))),
    Figure(10, "margins", "Margins", _sweeps("ranking.hard_margin", "ranking.semi_hard_margin")),
    Figure(11, "temperature", "Temperature of the contrast", _sweeps("contrast.temperature")),
    Figure(12, "augmentation", "Shares masked and cut off", _sweeps("contrast.mask", "contrast.cutoff")),
)
