"""A cell from its configuration to the page, by the real commands on a tiny model."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from experiments import __main__ as command
from experiments.plan import Cell
from experiments.records import LOGS, read_lines, read_results
from experiments.run import Places, run_cells
from experiments.usage import Usage
from zsre.runner import eval_cli
from zsre.trainer import cli as train_cli
from zsre.trainer.config import TrainConfig

CELL = Cell("cpu", "sdzre", "fewrel", 5, "ori")
SWEPT = Cell("cpu", "sdzre", "fewrel", 10, "ori", part="eval", setting="contrast.mask=0.3")


@pytest.fixture
def commands(
    tiny_config: Callable[..., TrainConfig], tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Sequence[str]], Usage]]:
    """Stand in a folder whose small profile is a tiny one, with a function that runs the commands in this process."""
    data = tmp_path / "data" / "fewrel"
    (data / "splits").mkdir(parents=True)
    for m in (5, 10):
        shutil.copy(tiny_data / "split.json", data / "splits" / f"{m}_ori.json")
    configs = tmp_path / "configs"
    contents = {"profiles/cpu.yaml": tiny_config().to_dict(), "experiments/sdzre.yaml": {"model": {"alpha": 0.3}}}
    for name, content in contents.items():
        (configs / name).parent.mkdir(parents=True)
        (configs / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.setenv("ZSRE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("experiments.recipes.CONFIGS", configs)
    monkeypatch.chdir(tmp_path)

    def execute(words: Sequence[str]) -> Usage:
        main = {"zsre.trainer.cli": train_cli.main, "zsre.runner.eval_cli": eval_cli.main}[words[2]]
        assert main([*words[3:], *(["--quiet"] if main is train_cli.main else [])]) == 0
        return Usage(60.0)

    handlers = list(logging.getLogger().handlers)
    yield execute
    logging.getLogger().handlers = handlers


def test_a_cell_is_trained_measured_logged_and_rendered(
    commands: Callable[[Sequence[str]], Usage], capsys: pytest.CaptureFixture[str]
) -> None:
    places = Places()
    assert run_cells([CELL, SWEPT], places, commands) == []
    found = read_results([CELL, SWEPT], places.results)
    assert found.keys() == {CELL, SWEPT}
    # All that the tables and figures read.
    line = found[CELL].line
    assert (line["model"], line["pairs"], line["relations"]) == (CELL.name, 40, 1)
    assert line["seconds"] > 0 and line["per_class"].keys() == {"singer"} and line["confusion_pairs"] == []
    assert found[CELL].figures == (100, 100, 100) and line["sklearn_macro_f1"] == 100
    assert found[CELL].record["config"]["model"]["alpha"] == 0.3 and found[CELL].record["parameters"] > 10_000
    # Test relations are measured for the one, eval relations for the other.
    assert found[SWEPT].line["per_class"].keys() == {"home"}
    assert [len(read_lines(places.results / name)) for name in LOGS.values()] == [1, 1]
    assert {path.name for path in (places.runs / CELL.name).iterdir()} >= {"config.yaml", "metrics.jsonl"}
    capsys.readouterr()

    assert command.main(["--list", "--only", "main", "--datasets", "fewrel"]) == 0
    assert capsys.readouterr().out.startswith(f"measured  {CELL.name}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.page.PROFILES", {"cpu": command.PROFILES["cpu"]})
        patch.setattr("experiments.page.plan", lambda profile: [CELL, SWEPT])
        assert command.main(["--render"]) == 0
    assert "**SDZRE, here** | 100.00 | 100.00 | 100.00 | 1 of 5 |" in Path("results/experiments.md").read_text("utf-8")
