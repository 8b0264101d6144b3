"""What the protocol consists of."""

from __future__ import annotations

import os
from collections import Counter
from functools import reduce
from pathlib import Path

import pytest

from experiments.choice_splits import HARDEST, choice_splits
from experiments.plan import (
    DATASETS,
    FOLDS,
    GROUPS,
    HELD_OUT,
    MAIN,
    PROFILES,
    SEED,
    SWEEPS,
    Cell,
    Sweep,
    compared_choices,
    fold_split,
    plan,
    sweep_cells,
)
from experiments.recipes import CONFIGS, recipe
from zsre.relations.splits import read_split

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
        assert parts <= ({"eval"} if group in ("sweeps", "choices") else {"test"})
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


def test_choices_are_compared_on_the_same_folds_with_the_same_seeds() -> None:
    cells = plan("cpu", ["choices"])
    names = compared_choices("cpu")
    assert names[0] == "sdzre" and len(set(names)) == len(names)
    on = [(cell.partition, cell.seed) for cell in cells if cell.experiment == "sdzre"]
    assert sorted(on) == [(fold, SEED) for fold in FOLDS]
    for name in names:
        assert [(cell.partition, cell.seed) for cell in cells if cell.experiment == name] == on
    # One seed for all before any with the next.
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert {(cell.dataset, cell.m, cell.part) for cell in cells} == {("fewrel", 15, "eval")}
    assert plan("paper", ["choices"]) == [] and compared_choices("paper") == ()


def test_choices_are_never_measured_on_a_relation_that_a_published_split_tests() -> None:
    folder = DATA / "fewrel" / "splits"
    if not folder.is_dir():
        pytest.skip("there is no fewrel in the folder that ZSRE_DATA names")
    tested = {relation for path in folder.glob("*.json") for relation in read_split(path).test}
    splits = choice_splits()
    assert splits == {name: read_split(CONFIGS / "splits" / f"{name}.json") for name in splits}
    assert (
        {path.stem for path in (CONFIGS / "splits").iterdir()} == splits.keys() == {fold_split(fold) for fold in FOLDS}
    )
    held_out = [relation for split in splits.values() for relation in split.eval]
    assert len(held_out) == len(set(held_out)) == 2 * HELD_OUT and not tested & set(held_out)
    hardest = read_split(folder / f"{HARDEST}.json")
    for split in splits.values():
        assert len(split.train) == 50 and not {*split.eval, *hardest.test} & set(split.train)
        assert len(tested & set(split.train)) > 25, "what the page says of the relations that are trained on"
        assert set(split.test) == set(hardest.test), "held out from data of other sets too"


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_published_splits_are_those_of_the_plan(dataset: str) -> None:
    folder = DATA / dataset / "splits"
    if not folder.is_dir():
        pytest.skip(f"there is no {dataset} in the folder that ZSRE_DATA names")
    planned = {cell.split for cell in plan("cpu", ["main"], [dataset])}
    assert {path.stem for path in folder.glob("*.json")} == planned
