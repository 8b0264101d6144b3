"""Running cells, with commands that only leave behind what the real ones would."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from experiments import run
from experiments.plan import Cell, plan
from experiments.recipes import CONFIGS, recipe
from experiments.records import RECORDS, read_lines, read_results
from experiments.run import Places, missing_cells, run_cells, take
from experiments.usage import CommandError, Usage
from tests.experiments.conftest import Measure
from zsre.trainer import cli as train_cli
from zsre.trainer.beginning import write_reading
from zsre.trainer.checkpoint import write_text

CELLS = plan("cpu", ["main"], ["fewrel"])[:3]
TRAIN, EVAL = "zsre.trainer.cli", "zsre.runner.eval_cli"


class Commands:
    """Stands in for the commands; fails on those that ``failing`` says, by module and cell."""

    def __init__(self, places: Places, log: Measure) -> None:
        self.places, self.log = places, log
        self.ran: list[tuple[str, str]] = []
        self.failing: dict[tuple[str, str], BaseException] = {}

    def __call__(self, command: Sequence[str]) -> Usage:
        module = command[2]
        directory = self.train(command[3:]) if module == TRAIN else Path(command[3])
        cell = next(cell for cell in CELLS if directory == self.places.runs / cell.name)
        self.ran.append((module, cell.name))
        if module == TRAIN and (module, cell.name) not in self.failing:
            save_file({"a": np.zeros((3, 4)), "b": np.zeros(5)}, directory / "model.safetensors")
            write_text(directory / "run.json", json.dumps({"finished": True}))
            write_text(directory / "speed.json", json.dumps({"examples_per_second": 91.5}))
        if error := self.failing.get((module, cell.name)):
            raise error
        if module == EVAL:
            assert (directory / "model.safetensors").is_file()
            self.log(cell, 70 + CELLS.index(cell))
        return Usage(12.34, 23.45, 1000)

    def train(self, arguments: Sequence[str]) -> Path:
        """Do what zsre-train does before its first step."""
        parsed = train_cli.parser().parse_intermixed_args(arguments)
        config, directory = train_cli.choose_run(parsed)
        if not parsed.resume:
            directory.mkdir(parents=True)
            write_text(directory / "config.yaml", yaml.safe_dump(config.to_dict()))
            write_reading(directory, "what was read")
        return directory


@pytest.fixture
def places(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("ZSRE_DATA", str(tmp_path / "data"))
    for name in ("fewrel.json.gz", *(f"splits/{cell.split}.json" for cell in CELLS)):
        path = tmp_path / "data" / "fewrel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Places(tmp_path / "runs", results)


@pytest.fixture
def commands(places: Places, log: Measure) -> Commands:
    return Commands(places, log)


def _both(*cells: Cell) -> list[tuple[str, str]]:
    return [(module, cell.name) for cell in cells for module in (TRAIN, EVAL)]


def test_each_cell_is_trained_measured_and_recorded(places: Places, commands: Commands) -> None:
    assert run_cells(CELLS, places, commands) == []
    assert commands.ran == _both(*CELLS)
    found = read_results(CELLS, places.results)
    assert [found[cell].f1 for cell in CELLS] == [70, 71, 72]
    record = found[CELLS[0]].record
    assert record["parameters"] == 17 and record["config"] == json.loads(json.dumps(recipe(CELLS[0]).to_dict()))
    assert record["precision"] in ("bf16", "fp32") and record["commit"] and record["reading"] == "what was read"
    assert record["training"] == {
        "seconds": 12.3, "cpu_seconds": 23.4, "memory": 1000, "gpu_memory": None, "gpu_use": None,
        "examples_per_second": 91.5,
    }  # fmt: skip


@pytest.mark.parametrize("keep", [False, True])
def test_weights_are_removed_unless_they_are_wanted(places: Places, commands: Commands, keep: bool) -> None:
    run_cells(CELLS[:1], places, commands, keep)
    directory = places.runs / CELLS[0].name
    assert (directory / "model.safetensors").exists() == keep and (directory / "run.json").exists()


def test_what_is_measured_is_not_run_again(places: Places, commands: Commands, measure: Measure) -> None:
    measure(CELLS[1], 66)
    assert missing_cells(CELLS, places) == [CELLS[0], CELLS[2]]
    run_cells(CELLS, places, commands)
    assert commands.ran == _both(CELLS[0], CELLS[2])
    run_cells(CELLS, places, commands)
    assert len(commands.ran) == 4


@pytest.mark.parametrize("module", [TRAIN, EVAL])
def test_a_cell_that_fails_does_not_stop_the_rest(
    places: Places, commands: Commands, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    commands.failing[module, CELLS[0].name] = CommandError("-m it ended with exit code 2")
    with caplog.at_level(logging.INFO):
        assert run_cells(CELLS, places, commands) == [CELLS[0]]
    assert f"{CELLS[0].name} failed: -m it ended with exit code 2" in caplog.messages
    assert sorted(read_results(CELLS, places.results), key=CELLS.index) == CELLS[1:]
    assert len(read_lines(places.results / RECORDS)) == 2


def test_processes_share_the_work(
    places: Places, commands: Commands, measure: Measure, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = CELLS

    def other(command: Sequence[str]) -> Usage:
        """Measure, while the first cell is trained here, the second one elsewhere."""
        if second not in read_results(CELLS, places.results):
            measure(second, 66)
        return commands(command)

    with caplog.at_level(logging.INFO), closing(take(third, places)):
        assert run_cells(CELLS, places, other) == []
    assert commands.ran == _both(first)
    assert f"[3/3] {third.name} is with another process" in caplog.messages
    assert run_cells(CELLS, places, commands) == []
    assert commands.ran == _both(first, third)


def test_missing_data_is_told_before_anything_is_trained(
    places: Places, commands: Commands, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data" / "fewrel" / "fewrel.json.gz").unlink()
    assert run_cells(CELLS[:1], places, commands) == [CELLS[0]]
    assert commands.ran == [] and "fewrel.json.gz: no such file, neither here nor under" in caplog.messages[-1]


def test_an_interruption_stops_everything_and_the_training_is_gone_on_with(places: Places, commands: Commands) -> None:
    commands.failing[TRAIN, CELLS[1].name] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_cells(CELLS, places, commands)
    assert commands.ran == [*_both(CELLS[0]), (TRAIN, CELLS[1].name)]
    commands.ran.clear()
    commands.failing.clear()
    # The directory is there, so only --resume can train in it.
    assert run_cells(CELLS, places, commands) == []
    assert commands.ran == _both(CELLS[1], CELLS[2])
    # What only the rest of a training took is no figure of the training.
    results = read_results(CELLS, places.results)
    assert results[CELLS[1]].record["training"] is None and results[CELLS[2]].record["training"] is not None


def test_a_training_that_came_to_its_end_is_measured(places: Places, commands: Commands) -> None:
    commands.failing[EVAL, CELLS[0].name] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_cells(CELLS[:1], places, commands)
    commands.failing.clear()
    assert run_cells(CELLS[:1], places, commands) == []
    assert len(read_results(CELLS, places.results)) == 1


class TestAnotherRecipe:
    @pytest.fixture
    def changed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Change the recipe of every cell, once this is asked for."""
        folder = tmp_path / "configs"
        for name in ("profiles", "experiments"):
            (folder / name).mkdir(parents=True)
            for path in (CONFIGS / name).glob("*.yaml"):
                text = path.read_text(encoding="utf-8").replace("epochs: 1", "epochs: 3")
                (folder / name / path.name).write_text(text, encoding="utf-8")

        monkeypatch.setattr("experiments.recipes.CONFIGS", folder)

    def test_a_measured_run_makes_way(self, places: Places, commands: Commands, request: pytest.FixtureRequest) -> None:
        run_cells(CELLS[:1], places, commands)
        request.getfixturevalue("changed")
        assert missing_cells(CELLS[:1], places) == CELLS[:1]
        assert run_cells(CELLS[:1], places, commands) == []
        config = yaml.safe_load((places.runs / CELLS[0].name / "config.yaml").read_text(encoding="utf-8"))
        assert config["optim"]["epochs"] == 3 and len(read_lines(places.results / RECORDS)) == 2

    def test_weights_that_are_there_are_left_alone(
        self, places: Places, commands: Commands, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
    ) -> None:
        run_cells(CELLS[:1], places, commands, keep=True)
        request.getfixturevalue("changed")
        assert run_cells(CELLS[:1], places, commands) == CELLS[:1]
        directory = places.runs / CELLS[0].name
        assert f"{directory}: holds a run of another recipe; remove it, or move it elsewhere" in caplog.messages[-1]
        assert (directory / "model.safetensors").exists()


def test_parameters_are_counted_in_the_weights(tmp_path: Path) -> None:
    save_file({"a": np.zeros((3, 4)), "b": np.zeros(()), "c": np.zeros(2)}, tmp_path / "w.safetensors")
    assert run.count_parameters(tmp_path / "w.safetensors") == 15
