"""docs/paper.md names code, tests and fields that exist, every equation, and the parameters that there are."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from functools import reduce
from pathlib import Path

import pytest
import torch
import yaml
from transformers import BertConfig, BertModel

from tests.runner.pages import read_page, section
from zsre.trainer.config import TrainConfig, parse_config, read_config
from zsre.trainer.model import ModelConfig, SentenceModel
from zsre.trainer.setup import count_parameters

ROOT = Path(__file__).parents[2]
PAGE = read_page("paper.md")
PACKAGES = ("relations", "trainer", "exporter", "runner")
GROUPS = ("model", "contrast", "ranking", "level", "optim", "texts", "eval")
CODE = sorted(set(re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", PAGE)))
TESTS = sorted(set(re.findall(r"`((?:test_\w+|paper)\.[\w.]+)`", PAGE)))
#: A group's field, in code type, with its value if one is given; it may be broken over two lines.
FIELD = re.compile(rf"`((?:{'|'.join(GROUPS)})\.\w+)(?::\s+([^`]+))?`")
FIELDS = sorted(set(FIELD.findall(PAGE)))


def _exists(module: str, attributes: list[str]) -> bool:
    """Tell whether a dotted name leads to something, of which as much is a module as can be."""
    for attribute in list(attributes):
        try:
            importlib.import_module(f"{module}.{attribute}")
        except ImportError:
            break
        module, attributes = f"{module}.{attribute}", attributes[1:]
    try:
        reduce(getattr, attributes, importlib.import_module(module))
    except AttributeError:
        return False
    return True


@pytest.mark.parametrize("name", CODE)
def test_code_that_is_named_exists(name: str) -> None:
    assert _exists("zsre", name.split("."))


@pytest.mark.parametrize("name", TESTS)
def test_tests_and_transcriptions_that_are_named_exist(name: str) -> None:
    assert _exists("tests.trainer", name.split("."))


@pytest.mark.parametrize(("name", "value"), FIELDS)
def test_fields_that_are_named_can_be_set(name: str, value: str) -> None:
    group, field = name.split(".")
    config = parse_config({"data": [{"path": "any"}], group: {field: yaml.safe_load(value)} if value else {}}, "page")
    _value(config, name)


def _value(config: TrainConfig, name: str) -> object:
    return reduce(getattr, name.split("."), config)


def test_the_settings_are_those_of_the_paper_s_configuration() -> None:
    config = read_config(ROOT / "configs" / "profiles" / "paper.yaml")
    named = FIELD.findall(section(PAGE, "Settings"))
    assert len(named) > 10
    for name, value in named:
        assert _value(config, name) == yaml.safe_load(value), name


def test_what_goes_beyond_the_paper_is_off_in_its_configuration() -> None:
    config = read_config(ROOT / "configs" / "profiles" / "paper.yaml")
    named = [(name, value) for name, value in FIELD.findall(section(PAGE, "Beyond the paper")) if value]
    assert len(named) == 4
    for name, value in named:
        assert _value(config, name) != yaml.safe_load(value), name
    assert (
        config.level.weight == config.ranking.pair_weight == config.optim.frozen_layers == 0
        and not config.calibration.data
    )


@pytest.mark.parametrize("title", ["Equations", "Tests of the equations"])
def test_every_equation_has_one_row_that_names_code(title: str) -> None:
    rows = re.findall(r"^\| (\d[\d, –]*) \| .*`\w+\.[\w.]+`", section(PAGE, title), re.MULTILINE)
    numbers: Counter[int] = Counter()
    for row in rows:
        first, _, last = row.partition("–")
        numbers.update(range(int(first), int(last) + 1) if last else map(int, row.split(",")))
    assert numbers == Counter(range(1, 31))


def test_the_parameters_are_counted() -> None:
    with torch.device("meta"):
        model = SentenceModel(BertModel(BertConfig()), ModelConfig(), seen_relations=60)
    rows = re.findall(r"^\| (\S.*?) \| ([\d,]+) \|$", section(PAGE, "Parameters"), re.MULTILINE)
    counts = {name.strip("`"): int(number.replace(",", "")) for name, number in rows}
    together, before = counts.pop("together"), counts.pop("up to here, in RE-Matching as well")
    for name, count in counts.items():
        assert count == sum(
            parameter.numel() for full, parameter in model.named_parameters() if f"{full}.".startswith(f"{name}.")
        ), name
    assert together == sum(counts.values()) == count_parameters(model)
    assert before == together - 5 * 590_592 - 769
    # What RE-Matching's code has beside these: the hidden layer of its reversed classifier.
    assert f"makes {before + 590_592:,}" in section(PAGE, "Parameters") and before + 590_592 == 111_300_156


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    headings = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^##+ (.+)$", PAGE, re.M)
    }
    assert len(links) > 20
    for link in links:
        if link.startswith("#"):
            assert link[1:] in headings, link
        elif not link.startswith("https://"):
            assert (ROOT / "docs" / link).exists(), link
