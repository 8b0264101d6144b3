"""docs/training.md says what the commands do and need, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from experiments import __main__ as experiments_cli
from experiments.plan import GROUPS
from tests.runner.pages import first_cells, read_page, section
from zsre.exporter import cli as export_cli
from zsre.exporter.parity import LIMITS
from zsre.relations.catalogue import is_catalogue
from zsre.relations.errors import OutputError, ZsreError
from zsre.relations.readers import FORMATS, find_format
from zsre.trainer import cli as train_cli
from zsre.trainer.config import TrainConfig, _fields, find_data, parse_config, read_configs

PAGE = read_page("training.md")
CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_field_is_described() -> None:
    assert first_cells(section(PAGE, "Configuration")) == {item.name for item in dataclasses.fields(TrainConfig)}


def test_every_field_of_a_group_is_described_with_its_default() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \|", section(PAGE, "Fields"), re.MULTILINE)
    assert {name for name, _ in rows} == {
        name for name in _fields(TrainConfig) if "." in name and not name.startswith("calibration.data.")
    }
    given: dict[str, object] = {"data": [{"path": "labelled.jsonl"}], "texts": {"adapter": {}}}
    config = parse_config(given, "page").to_dict()
    config["data"] = config["data"][0]
    for name, told in rows:
        if name in ("data.path", "texts.adapter"):
            continue
        value: Any = config
        for part in name.split("."):
            value = value[part]
        text = value if isinstance(value, str) else json.dumps(value)
        assert told == ("none" if value in (None, ()) else f"`{text}`"), name


@pytest.mark.parametrize("cli", [train_cli, export_cli])
def test_every_flag_is_described(cli: ModuleType) -> None:
    table = PAGE.split(f"| `{cli.PROGRAM}` | default | meaning |\n", 1)[1].split("\n\n", 1)[0]
    named = {name for action in cli.parser()._actions for name in action.option_strings or [action.dest]}
    assert first_cells(table) == named - {"-h", "--help"}


def test_the_shortest_configuration_is_one() -> None:
    (text,) = re.findall(r"^```yaml\n(.+?)^```", section(PAGE, "Configuration"), re.MULTILINE | re.DOTALL)
    assert parse_config(yaml.safe_load(text), "page").data[0].path == "labelled.jsonl"


@pytest.mark.parametrize(
    "names",
    ["shipped", *(f"profiles/{name}{top}" for name in ("cpu", "paper") for top in ("", f" profiles/{name}-wikizsl"))],
)
def test_every_file_that_a_configuration_needs_is_described(names: str) -> None:
    config = read_configs([CONFIGS / f"{name}.yaml" for name in names.split()])
    needed = {source.path for source in (*config.data, *config.calibration.data)}
    needed |= {text for text in config.texts.sources if not is_catalogue(text)}
    assert needed | ({config.split} if config.split else set()) <= first_cells(section(PAGE, "Data"))


def test_the_formats_are_those_of_the_files() -> None:
    rows = re.findall(r"^\| (`.+?) \| `(\w+)` \|", section(PAGE, "Data"), re.MULTILINE)
    formats = {name: format for cell, format in rows for name in re.findall(r"`([^`]+)`", cell)}
    assert len(formats) == 8 and set(formats.values()) <= set(FORMATS)
    for name, format in formats.items():
        try:
            found = find_data(name)
        except ZsreError:
            pytest.skip(f"there is no {name} in the folder that ZSRE_DATA names")
        assert find_format(found) == format


def test_every_experiment_and_flag_of_the_protocol_is_described() -> None:
    described = first_cells(section(PAGE, "Experiments"))
    experiments = {path.stem for path in (CONFIGS / "experiments").glob("*.yaml") if "-" not in path.stem}
    options = {flag for action in experiments_cli.parser()._actions for flag in action.option_strings}
    assert described == experiments | (options - {"-h", "--help"})
    codes = {0, ZsreError.exit_code, experiments_cli.FAILED, experiments_cli.INTERRUPTED}
    (listed,) = re.findall(r"Exit codes are\s(.+)\.", section(PAGE, "Experiments"), re.DOTALL)
    assert {int(code) for code in re.findall(r"\b\d+\b", listed)} == codes
    assert all(f"`{group}`" in section(PAGE, "Experiments") for group in GROUPS)


def test_every_precision_is_described_with_its_limit() -> None:
    table = section(PAGE, "Export").split("| `--precision` |", 1)[1]
    rows = re.findall(r"^\| `([^`]+)`.*?\| (\S+) \| [^|]+ \|$", table, re.MULTILINE)
    assert {name: float(limit) for name, limit in rows} == LIMITS


@pytest.mark.parametrize("cli", [train_cli, export_cli])
def test_every_exit_code_is_described(cli: ModuleType) -> None:
    table = section(PAGE, "Exit codes").split(f"`{cli.PROGRAM}`:\n\n", 1)[1].split("\n\n", 1)[0]
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert described == {0, 1, ZsreError.exit_code, OutputError.exit_code, cli.INTERRUPTED}
