"""docs/eval.md says what the command does, and nothing that it doesn't."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from tests.runner.pages import first_cells, read_page, section
from tests.runner.test_eval_cli import fake_scorer
from zsre.relations.interrupts import INTERRUPTED
from zsre.relations.readers import FORMATS, find_format
from zsre.runner import eval_cli, eval_command

PAGE = read_page("eval.md")


def actions() -> list[argparse.Action]:
    return [action for action in eval_cli.parser()._actions if action.dest != "help"]


def test_every_flag_is_described() -> None:
    assert first_cells(section(PAGE, "Flags")) == {(action.option_strings or [action.dest])[0] for action in actions()}


@pytest.mark.parametrize(
    "action", [action for action in actions() if action.option_strings], ids=lambda each: each.dest
)
def test_flags_and_defaults_are_those_of_the_command(action: argparse.Action) -> None:
    flag = action.option_strings[0]
    row = re.search(rf"^\| `{flag}( [^`]+)?` \| (.*?) \|", section(PAGE, "Flags"), re.MULTILINE)
    assert row is not None
    value, default = (row[1] or "").strip().replace("\\", ""), row[2].strip("` ")
    if action.nargs == 0:
        assert value == ""
    else:
        assert value == ("|".join(map(str, action.choices)) if action.choices else action.metavar)
    if action.required:
        assert default == "required"
    elif action.default is not None and action.nargs != 0:
        assert default == str(action.default)
    assert flag != "--part" or default == eval_cli.DEFAULT_PART


def test_every_format_is_described() -> None:
    assert first_cells(section(PAGE, "Data")) == set(FORMATS)


def test_every_field_of_the_log_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line of data and the command of the page are used as they stand there."""
    (line,) = re.findall(r"^```json\n(.+)\n```", section(PAGE, "Data"), re.MULTILINE)
    command, *others = re.findall(r"^\$ zsre-eval (.+)$", PAGE, re.MULTILINE)
    for other in others:
        eval_cli.parser().parse_args(other.split())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_command, "load_scorer", fake_scorer)
    Path("labelled.jsonl").write_text(line + "\n", encoding="utf-8")
    Path("relations.yaml").write_text("relations: [{id: P112, name: founded by, description: who founded this}]\n")
    assert find_format(Path("labelled.jsonl")) == "zsre"
    assert eval_cli.main([*command.split(), "--json", "--per-class"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert first_cells(section(PAGE, "Test relations and the log")) == set(found)
    for name in found["passed"]:
        assert f"`{name}`" in PAGE


def test_every_exit_code_is_described() -> None:
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", section(PAGE, "Exit codes"), re.MULTILINE)}
    assert described == {0, 1, 2, 4, INTERRUPTED}
