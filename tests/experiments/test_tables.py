"""What the tables say, on made-up measurements."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from experiments.plan import (
    DATASETS,
    PROFILES,
    SWEEPS,
    UNSEEN,
    Cell,
    choice_cells,
    compared_cells,
    compared_choices,
    main_cells,
    plan,
    sweep_cells,
)
from experiments.records import Results, read_lines, read_results
from experiments.summary import mean_of, published, whole_figures, whole_relations
from experiments.tables import (
    NOT_RUN,
    TITLES,
    counts,
    in_full,
    table1,
    table2,
    table3,
    table4,
    table5,
    table_of_choices,
    whole_of_wikizsl,
)
from tests.experiments.conftest import Measure
from zsre.relations.readers import read_labelled

Rows = dict[tuple[str, ...], list[str]]
TABLES = (table1, in_full, whole_of_wikizsl, table2, table3, table4, table5)


def _rows(lines: list[str], keys: int) -> Rows:
    """Return the cells of each row by its first ``keys`` ones, after checking that the table is whole."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line]
    assert len({len(row) for row in cells}) == 1 and lines[-1] == ""
    rows = {tuple(row[:keys]): row[keys:] for row in cells[2:]}
    assert len(rows) == len(cells) - 2
    return rows


@pytest.fixture
def found(results: Path, measure: Measure) -> Results:
    """Results of some cells of the small profile; those of the other one are all missing."""
    for f1, cell in zip((60, 61, 62, 63, 64), main_cells("cpu", "sdzre", "fewrel", 15), strict=True):
        measure(cell, f1)
    for f1, cell in zip((40, 50), main_cells("cpu", "re_matching", "wikizsl", 5), strict=False):
        measure(cell, f1, pairs=1000 + int(f1))
    for experiment, f1 in (("sdzre", 80), ("without_contrast", 70), ("ranked_negatives", 75)):
        for cell in compared_cells("cpu", experiment, "fewrel", 10):
            measure(cell, f1 + cell.seed - 14)
    measure(compared_cells("cpu", "augment_dropout_mask", "wikizsl", 10)[1], 77)
    measure(compared_cells("cpu", "selector_only", "fewrel", 15)[0], 58)
    measure(sweep_cells("cpu", SWEEPS[-1], "fewrel")[0.1], 58)
    return read_results(plan("cpu"), results)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("profile", PROFILES)
def test_what_was_not_run_says_so(profile: str, table: Any) -> None:
    ours = [line for line in table(profile, {}) if NOT_RUN in line]
    assert len(ours) >= 2 and not any(cell.strip() in ("0.00", "nan") for line in ours for cell in line.split("|"))


def test_table_1_has_means_over_partitions_beside_the_published_figures(found: Results) -> None:
    rows = _rows(table1("cpu", found), 2)
    assert rows["15", "**SDZRE, here**"] == ["64.00", "60.00", "62.00", "5", "", "", NOT_RUN, ""]
    assert rows["5", "**RE-Matching, here**"] == ["", "", NOT_RUN, "", "47.00", "43.00", "45.00", "2 of 5"]
    # One of the five partitions of m = 10 is a cell of Table 2 as well.
    assert rows["10", "**SDZRE, here**"] == ["81.00", "77.00", "79.00", "1 of 5", "", "", NOT_RUN, ""]
    assert rows["15", "SDZRE, published"] == ["80.68", "79.46", "80.06", "", "69.60", "70.30", "69.95", ""]
    # Rows that the paper does not have are on FewRel alone.
    assert rows["15", "**with Wiki-ZSL's relations seen as well, here**"] == ["", "", NOT_RUN, "", "", "", "", ""]
    assert len(rows) == 3 * (11 + 2 + len(PROFILES["cpu"].beyond))


def test_what_is_behind_table_1(found: Results) -> None:
    rows = _rows(in_full("cpu", found), 3)
    assert rows["FewRel", "15", "SDZRE"] == ["5", "62.00", "1.58", "61.00", "10,500"]
    assert rows["Wiki-ZSL", "5", "RE-Matching"] == ["2 of 5", "45.00", "7.07", "44.00", "1,040 to 1,050"]
    assert rows["FewRel", "10", "SDZRE"] == ["1 of 5", "79.00", "", "78.00", "7,000"]
    assert rows["FewRel", "5", "SDZRE"] == ["", NOT_RUN, "", "", ""]
    assert len(rows) == 12 + 3 * len(PROFILES["cpu"].beyond)


def test_table_2_has_means_over_seeds(found: Results) -> None:
    rows = _rows(table2("cpu", found), 2)
    assert rows["FewRel", "SDZRE"] == ["91.64", "91.68", "91.66", "82.00", "78.00", "80.00", "1.00", "3"]
    assert rows["FewRel", "w/o Ctr."] == ["90.00", "87.65", "89.83", "72.00", "68.00", "70.00", "1.00", "3"]
    assert rows["FewRel", "w/o Mult."] == ["90.08", "89.75", "89.91", "", "", NOT_RUN, "", ""]
    own = rows["FewRel", "the paper's negatives and margins"]
    assert own == ["", "", "", "77.00", "73.00", "75.00", "1.00", "3"]
    assert len(rows) == 14 and len(_rows(table2("paper", {}), 2)) == 10


def test_tables_3_and_4(found: Results) -> None:
    rows = _rows(table3("cpu", found), 2)
    assert rows["Dropout + Random mask", "Wiki-ZSL"] == ["80.56", "77.00", "", "1 of 3"]
    assert rows["Random mask + Feature cutoff", "FewRel"] == ["91.66", "80.00", "1.00", "3"]
    assert rows["Dropout + Feature cutoff", "FewRel"] == ["90.20", NOT_RUN, "", ""]
    rows = _rows(table4("cpu", found), 1)
    selector = rows[("Gaussian adaptive selector",)]
    assert selector == ["79.61", "78.49", "79.05", "60.00", "56.00", "58.00", "", "1 of 3"]
    # Seed 13 of the first partition is a cell of Table 1.
    assert rows[("Both",)] == ["81.75", "79.46", "80.06", "62.00", "58.00", "60.00", "", "1 of 3"]


def test_table_5_leaves_interrupted_runs_out(results: Path, measure: Measure) -> None:
    cells = main_cells("cpu", "sdzre", "fewrel", 15)
    costs = {"cpu_seconds": 90.0, "memory": 1000.0, "gpu_memory": None, "gpu_use": None}
    on_gpu = {"seconds": 180.0, "gpu_memory": 2048.0, "gpu_use": 87.0, "examples_per_second": 95.5}
    measure(cells[0], 70, record={"training": costs | {"seconds": 60.0}, "device": "B"})
    measure(cells[1], 70, record={"training": costs | on_gpu, "device": "A"})
    measure(cells[2], 70, record={"training": None, "device": "C"})
    rows = _rows(table5("cpu", read_results(cells, results)), 1)
    ours = rows[("**SDZRE, here**",)]
    assert ours == ["2,048 MB", "87%", "1,000 MB", "100%", "23.77 M", "2.00 min", "96", "2 of 5", "A; B"]
    assert rows[("SDZRE, published",)] == ["1.79 MB", "", "", "1.1%", "113.66 M", "13.54 min", "", "", "RTX 3090"]


class TestWholeRelations:
    def line(self, confusions: list[Any] | None = None) -> dict[str, Any]:
        scores = {"a": (80, 60, 10), "b": (0, 0, 30), "c": (50, 90, 20), "sample": (7, 7, 500)}
        return {
            "per_class": {
                name: {"precision": precision, "recall": recall, "f1": 0, "pairs": pairs}
                for name, (precision, recall, pairs) in scores.items()
            },
            "confusion_pairs": confusions or [],
        }

    def test_figures_are_means_over_them_alone(self) -> None:
        found = whole_figures(self.line([["a", "b", 3, 1.0]]), {"a", "b", "c", "elsewhere"})
        assert found is not None and (found.relations, found.pairs) == (3, 60)
        assert (found.precision, found.recall) == (pytest.approx(130 / 3), 50)
        assert found.f1 == pytest.approx(2 * 50 * 130 / 3 / (50 + 130 / 3))

    def test_a_relation_that_was_never_given_has_no_precision(self) -> None:
        found = whole_figures(self.line([["b", "a", 3, 1.0]]), {"a", "b", "c"})
        assert found is not None and (found.precision, found.recall) == (65, 50)

    def test_there_may_be_none(self) -> None:
        assert whole_figures(self.line(), {"elsewhere"}) is None

    def test_the_table(self, results: Path, measure: Measure) -> None:
        whole = sorted(whole_relations())[:2]
        cells = main_cells("cpu", "sdzre", "wikizsl", 15)
        for number, cell in enumerate(cells[:2]):
            scores = {"precision": 40, "recall": 40 + 20 * number, "f1": 0, "pairs": 100}
            measure(cell, 50, per_class=dict.fromkeys([*whole[: 1 + number], "P0"], scores))
        rows = _rows(whole_of_wikizsl("cpu", read_results(cells, results)), 2)
        mean = (40 + 2 * 40 * 60 / 100) / 2
        assert rows["15", "SDZRE"] == ["2 of 5", "15", "10,500", "50.00", "1 to 2", "100 to 200", f"{mean:.2f}"]
        assert rows["15", "RE-Matching"] == ["", "", "", NOT_RUN, "", "", NOT_RUN] and len(rows) == 6

    def test_they_are_those_of_the_data(self) -> None:
        path = Path(os.environ.get("ZSRE_DATA", "data")) / "wikizsl" / "wikizsl.jsonl.gz"
        if not path.is_file():
            pytest.skip("there is no wikizsl in the folder that ZSRE_DATA names")
        pairs = Counter(
            relation for sentence in read_labelled(path) for pair in sentence.pairs for relation in pair.relations
        )
        samples = pairs.keys() - whole_relations()
        assert len(whole_relations()) == 67 and len(samples) == 46 and whole_relations() <= pairs.keys()
        assert max(pairs[relation] for relation in samples) < min(pairs[relation] for relation in whole_relations())


def test_choices_are_compared_run_by_run_with_the_profile(
    results: Path, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.plan.CHOICE_SEEDS", (13, 14))
    for f1, cell in zip((70, 60, 72, 64), choice_cells("cpu", "sdzre"), strict=True):
        measure(cell, f1)
    for f1, cell in zip((73, 61, 73), choice_cells("cpu", "two_epochs"), strict=False):
        measure(cell, f1)
    measure(choice_cells("cpu", "marked")[1], 58.5)
    rows = _rows(table_of_choices("cpu", read_results(plan("cpu"), results)), 2)
    # Two folds with the one seed, then with the other.
    assert rows["", "the profile as it is"] == ["71.00", "62.00", "66.50", "", "", "4"]
    assert rows["epochs and examples", "two epochs"] == ["73.00", "61.00", "69.00", "+1.67", "+1.00 to +3.00", "3 of 4"]
    assert rows["sentence side", "markers, one row for each pair"] == ["", "58.50", "", "-1.50", "", "1 of 4"]
    assert rows["contrast", "no contrast"] == ["", "", NOT_RUN, "", "", ""]
    assert len(rows) == len(compared_choices("cpu"))


def test_measurements_are_counted_beside_those_that_are_shown(found: Results) -> None:
    measurements = Counter({(f"{name}.json.gz", split): 12 for name in DATASETS for split in ("5_41", "10_ori")})
    rows = _rows(counts(measurements, found), 2)
    assert rows == {
        ("fewrel.json.gz", "5_41"): ["12", "0"],
        # Three seeds of three experiments; the sweep beside them is on other relations.
        ("fewrel.json.gz", "10_ori"): ["12", "9"],
        ("wikizsl.json.gz", "5_41"): ["12", "1"],
        ("wikizsl.json.gz", "10_ori"): ["12", "0"],
    }


def test_no_cells_have_no_mean() -> None:
    assert mean_of([Cell("cpu", "sdzre", "fewrel", 5, "ori")], {}) is None


def test_published_figures_are_whole_and_fit_each_other() -> None:
    """Precision and recall make F1 in all rows but a few, where F1 is a mean of its own or a slip."""
    slips = []
    for m in UNSEEN:
        assert len(published()["table1"][m]) == 11
        for method, figures in published()["table1"][m].items():
            for dataset in DATASETS:
                precision, recall, f1 = figures[dataset]
                if abs(2 * precision * recall / (precision + recall) - f1) > 0.5:
                    slips.append((m, method, dataset))
    assert (10, "AlignRE", "fewrel") in slips and (15, "ZRCM", "wikizsl") in slips
    assert not any(method in ("SDZRE", "RE-Matching") for _, method, _ in slips)
    for dataset in DATASETS:
        assert published()["table2"][dataset]["sdzre"] == published()["table1"][10]["SDZRE"][dataset]
        assert published()["table3"]["sdzre"][dataset] == published()["table1"][10]["SDZRE"][dataset][2]
    assert published()["table4"]["sdzre"][1:] == published()["table1"][15]["SDZRE"]["fewrel"][1:]


def test_every_experiment_has_a_title() -> None:
    assert {cell.experiment for profile in PROFILES for cell in plan(profile)} == TITLES.keys()


def test_the_committed_logs_can_be_read() -> None:
    folder = Path(__file__).parents[2] / "results"
    assert read_lines(folder / "test-runs.jsonl")
    for profile in PROFILES:
        read_results(plan(profile), folder)
