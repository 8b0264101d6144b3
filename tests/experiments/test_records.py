"""What counts as measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from experiments.plan import Cell
from experiments.recipes import recipe
from experiments.records import count_measurements, last_line, read_results
from tests.experiments.conftest import Measure
from zsre.relations.errors import DataError

CELL = Cell("cpu", "sdzre", "fewrel", 15, "ori")
SWEPT = Cell("cpu", "sdzre", "fewrel", 10, "ori", part="eval")


def _config(**changes: Any) -> dict[str, Any]:
    """Return the record of a run whose configuration was another one; a field that is None was not there."""
    config = recipe(CELL).to_dict()
    for name, value in changes.items():
        group, field = name.split("__")
        if value is None:
            del config[group][field]
        else:
            config[group][field] = value
    return {"config": config}


def test_nothing_is_measured_where_there_is_no_log(results: Path) -> None:
    assert read_results([CELL], results) == {}


def test_a_cell_is_measured_by_its_log_and_its_record(results: Path, measure: Measure) -> None:
    measure(CELL, 74.5)
    measure(SWEPT, 80.5)
    found = read_results([CELL, SWEPT, dataclasses.replace(CELL, seed=14)], results)
    assert {cell: result.f1 for cell, result in found.items()} == {CELL: 74.5, SWEPT: 80.5}
    assert found[CELL].figures == (76.5, 72.5, 74.5)


def test_a_log_line_without_a_record_is_no_cell_s(results: Path, log: Measure, measure: Measure) -> None:
    """It may be of any recipe."""
    log(CELL, 74.5)
    assert read_results([CELL], results) == {}
    measure(CELL, 74.5, record={"fingerprint": "0" * 32})
    assert read_results([CELL], results) == {}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"optim__epochs": 2}, False),
        ({"model__alpha": None}, True),  # a field that is new since, and has its default in the recipe
        ({"ranking__negatives": None}, False),  # likewise, but the recipe has it otherwise
        ({"model__gone": 1}, False),
    ],
)
def test_a_run_of_another_recipe_does_not_count(
    results: Path, measure: Measure, changes: dict[str, Any], same: bool
) -> None:
    measure(CELL, 74.5, record=_config(**changes))
    assert (CELL in read_results([CELL], results)) == same


def test_the_last_measurement_of_the_recipe_counts(results: Path, measure: Measure) -> None:
    measure(CELL, 70, fingerprint="a")
    measure(CELL, 71, fingerprint="b")
    measure(CELL, 72, record={**_config(optim__epochs=9), "fingerprint": "c"}, fingerprint="c")
    assert read_results([CELL], results)[CELL].f1 == 71


@pytest.mark.parametrize("field", ["split", "part"])
def test_a_line_of_another_part_or_split_does_not_count(results: Path, measure: Measure, field: str) -> None:
    measure(CELL, 74.5, **{field: "other"})
    assert read_results([CELL], results) == {}


def test_a_damaged_line_is_named(results: Path, measure: Measure) -> None:
    measure(CELL, 74.5)
    with (results / "test-runs.jsonl").open("a", encoding="utf-8") as file:
        file.write('\n{"date": "20')
    with pytest.raises(DataError, match=r"test-runs\.jsonl, line 3: is not JSON \(.+\); mend or remove it"):
        read_results([CELL], results)


def test_the_line_of_a_measurement_is_found(results: Path, log: Measure) -> None:
    log(CELL, 1)
    log(CELL, 2)
    log(dataclasses.replace(CELL, seed=14), 3)
    assert last_line(CELL, results)["f1"] == 2
    with pytest.raises(DataError, match=r"eval-runs\.jsonl: has no line of cpu/fewrel-10_ori-sdzre-13-eval"):
        last_line(SWEPT, results)


def test_measurements_of_test_relations_are_counted_whatever_was_measured(results: Path, log: Measure) -> None:
    log(CELL, 1)
    log(CELL, 2, model="something else")
    log(SWEPT, 3)
    assert count_measurements(results) == {("fewrel.json.gz", "15_ori"): 2}
