from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.page import render
from benchmarks.parties.zsre_given import change
from benchmarks.places import Places
from benchmarks.records import append_line
from benchmarks.tries import TRIES
from zsre.runner import engine, session

MEASURED: dict[str, Any] = {
    "row": "tries",
    "variant": "larger batches",
    "expected": "slower",
    "date": "2026-01-02T03:04:05+00:00",
    "command": "python -m benchmarks tries --rounds 3",
    "commit": "abc",
    "machine": {"processor": "Some", "used": 2, "memory_gb": 8, "python": "3.11.1"},
    "ratios": [0.8, 0.5, 0.9],
}


def test_a_try_of_the_command_measures_every_try_and_records_nothing(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tries", "--rounds", "1", "--items", "2"], places) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0] for row in rows] == ["| what ships", *(f"| {each.name}" for each in TRIES)]
    assert not places.results.exists()


def test_the_constants_that_a_try_changes_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever is changed is put back.
    modules = {"zsre.runner.engine": engine, "zsre.runner.session": session}
    for each in TRIES:
        for name in each.constants:
            module, _, constant = name.rpartition(".")
            monkeypatch.setattr(modules[module], constant, getattr(modules[module], constant))
        change(each.constants)
        assert all(getattr(modules[name.rpartition(".")[0]], name.rpartition(".")[2]) == value
                   for name, value in each.constants.items())  # fmt: skip


def test_a_constant_that_is_gone_is_no_silent_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: SimpleNamespace())
    with pytest.raises(AssertionError, match="LENGTH"):
        change({"zsre.runner.engine.LENGTH": 4})


def test_the_page_has_a_table_of_what_was_tried(tmp_path: Path) -> None:
    assert "## Tried" not in render(tmp_path).read_text("utf-8")
    for line in ({"variant": "no longer tried", "date": "2025-12-02T03:04:05+00:00"}, {}):
        append_line({**MEASURED, **line}, tmp_path)
    page = render(tmp_path).read_text("utf-8")
    assert "| larger batches | slower | 0.80× | 0.50× to 0.90× | 3 | 2026-01-02 |" in page.splitlines()
    assert "Made by `python -m benchmarks tries --rounds 3`" in page
    assert "no longer tried" not in page
