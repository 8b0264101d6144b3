"""What the protocol consists of."""

from __future__ import annotations

import os
from collections import Counter
from functools import reduce
from pathlib import Path

import pytest

from experiments.plan import DATASETS, GROUPS, MAIN, PROFILES, SEED, SWEEPS, Cell, Sweep, plan, sweep_cells
from experiments.recipes import recipe

DATA = Path(os.environ.get("ZSRE_DATA", "data"))


@pytest.mark.parametrize("profile", PROFILES)
def test_each_main_experiment_has_thirty_cells(profile: str) -> None:
    cells = plan(profile, ["main"])
    assert Counter(cell.experiment for cell in cells) == dict.fromkeys(MAIN, 30)
    for experiment in MAIN:
        own = [cell for cell in cells if cell.experiment == experiment]
        assert Counter((cell.dataset, cell.m) for cell in own) == {
            (dataset, m): 5 for dataset in DATASETS for m in (5, 10, 15)
        }
        assert {(cell.seed, cell.part, cell.setting) for cell in own} == {(13, "test", "")}


def test_names_tell_cells_and_profiles_apart() -> None:
    cells = [cell for profile in PROFILES for cell in plan(profile)]
    assert len({cell.name for cell in cells}) == len(cells)
    assert Cell("cpu", "sdzre", "fewrel", 15, "ori").name == "cpu/fewrel-15_ori-sdzre-13"
    swept = Cell("paper", "sdzre", "fewrel", 10, "ori", 14, "eval", "contrast.mask=0.1")
    assert swept.name == "paper/fewrel-10_ori-sdzre-contrast.mask=0.1-14-eval"


@pytest.mark.parametrize(
    ("group", "dataset", "m", "experiments"),
    [
        ("ablations", "wikizsl", 10, "without_contrast without_distiller random_negatives hard_negatives sdzre"),
        ("augmentation", "wikizsl", 10, "augment_dropout_mask augment_dropout_cutoff sdzre"),
        ("distiller", "fewrel", 15, "projection_only selector_only sdzre"),
    ],
)
def test_comparisons_are_repeated_with_seeds_or_over_partitions(
    group: str, dataset: str, m: int, experiments: str
) -> None:
    cells = plan("cpu", [group], [dataset])
    assert {cell.experiment for cell in cells} == {*experiments.split(), *PROFILES["cpu"].further} - (
        set() if group == "ablations" else set(PROFILES["cpu"].further)
    )
    for experiment in experiments.split():
        own = [cell for cell in cells if cell.experiment == experiment]
        assert [(cell.m, cell.seed) for cell in own] == [(m, 13), (m, 14), (m, 15)]
        assert {cell.partition for cell in own} == {"40" if dataset == "wikizsl" else "ori"}
        published = [cell for cell in plan("paper", [group], [dataset]) if cell.experiment == experiment]
        assert [(cell.partition, cell.seed) for cell in published] == [
            (partition, SEED) for partition in DATASETS[dataset].partitions
        ]


def test_a_cell_of_several_groups_is_planned_once() -> None:
    assert len(plan("cpu")) < sum(len(plan("cpu", [group])) for group in GROUPS)
    assert len(plan("cpu")) == len(set(plan("cpu")))
    # Table 2's row of SDZRE needs the two seeds that Table 1 does not have.
    seeds = [cell.seed for cell in plan("cpu", ["main", "ablations"], ["fewrel"]) if cell.split == "10_ori"]
    assert seeds.count(13) == 8 and seeds.count(14) == 7


def test_data_sets_are_chosen() -> None:
    assert {cell.dataset for cell in plan("cpu", GROUPS, ["wikizsl"])} == {"wikizsl"}
    assert plan("cpu", ["distiller"], ["wikizsl"]) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_sweeps_never_touch_test_relations_and_nothing_else_is_measured_on_others(profile: str) -> None:
    for group in GROUPS:
        parts = {cell.part for cell in plan(profile, [group])}
        assert parts == ({"eval"} if group == "sweeps" else {"test"})
    assert all(cell.part == "eval" for cell in plan(profile) if cell.setting)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.field)
def test_the_usual_value_of_a_sweep_is_the_profile_s(profile: str, sweep: Sweep) -> None:
    for dataset in sweep.datasets:
        cells = sweep_cells(profile, sweep, dataset)
        assert tuple(cells) == sweep.values and sorted(set(sweep.values)) == list(sweep.values)
        for value, cell in cells.items():
            assert reduce(getattr, sweep.field.split("."), recipe(cell)) == value
        assert [value for value, cell in cells.items() if not cell.setting] == [sweep.usual]


@pytest.mark.parametrize("profile", PROFILES)
def test_margins_are_swept_where_there_are_margins(profile: str) -> None:
    for sweep in SWEEPS:
        for cell in sweep_cells(profile, sweep, "fewrel").values():
            assert not sweep.margins or recipe(cell).ranking.negatives == "ranked"


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_published_splits_are_those_of_the_plan(dataset: str) -> None:
    folder = DATA / dataset / "splits"
    if not folder.is_dir():
        pytest.skip(f"there is no {dataset} in the folder that ZSRE_DATA names")
    planned = {cell.split for cell in plan("cpu", ["main"], [dataset])}
    assert {path.stem for path in folder.glob("*.json")} == planned
