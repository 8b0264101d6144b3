"""What a person sees of ``python -m experiments``, and the page that it writes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments import __main__ as command
from experiments.plan import SWEEPS, Cell, main_cells, plan, sweep_cells
from experiments.run import Places
from experiments.usage import CommandError, Usage
from tests.experiments.conftest import Measure

ROOT = Path(__file__).parents[2]


@pytest.fixture
def places(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Empty places, where running a command is a mistake unless a test says otherwise."""
    monkeypatch.setattr(command, "execute", None)
    return Places(tmp_path / "runs", results)


def _page(results: Path) -> str:
    return (results / "experiments.md").read_text(encoding="utf-8")


def test_cells_are_listed_with_where_they_stand(
    places: Places, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(Cell("cpu", "sdzre", "fewrel", 5, "ori"), 90)
    assert command.main(["--list", "--only", "main", "--datasets", "fewrel"], places) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "measured  cpu/fewrel-5_ori-sdzre-13" and lines[1] == "missing   cpu/fewrel-5_40-sdzre-13"
    assert lines[-1] == "30 cells, 1 of them measured" and len(lines) == 31
    assert not (places.results / "experiments.md").exists()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """As in ``--list | head``."""
    words = [sys.executable, "-m", "experiments", "--list"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--only", "main,tables"], "--only main,tables: there is no 'tables'; give some of main,ablations,"),
        (["--datasets", "FewRel"], "--datasets FewRel: there is no 'FewRel'; give some of fewrel,wikizsl"),
    ],
)
def test_names_that_are_not_known(
    places: Places, flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(flags, places) == 2
    assert capsys.readouterr().err.startswith(f"experiments: error: {expected}")


def test_a_page_without_any_result(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--render"], places) == 0
    assert capsys.readouterr().out == f"{places.results / 'experiments.md'}\n"
    page = _page(places.results)
    for profile in ("cpu", "paper"):
        total = len(plan(profile))
        assert f"None of {total} cells is measured. `python -m experiments --profile {profile}` runs them." in page
    assert not re.search(r"\d\.\d\d", page) and "![" not in page


def test_a_page_of_results(places: Places, measure: Measure) -> None:
    for f1, cell in enumerate(main_cells("cpu", "sdzre", "fewrel", 15), start=60):
        measure(cell, f1)
    measure(sweep_cells("cpu", SWEEPS[3], "fewrel")[0.3], 81)
    assert command.main(["--render"], places) == 0
    page = _page(places.results)
    assert f"6 of {len(plan('cpu'))} cells are measured." in page
    # Every table and figure names its profile.
    headings = re.findall(r"^### (.+)$", page, re.MULTILINE)
    assert len(headings) == 13 and all(heading.endswith("(profile `cpu`)") for heading in headings)
    assert [heading[:7] for heading in headings if heading.startswith("Table")] == [
        f"Table {number}" for number in (1, 1, 2, 3, 4, 5)
    ]
    figures = re.findall(r"!\[.+\]\((.+)\)", page)
    assert figures == ["figures/cpu-f1-over-m.png", "figures/cpu-augmentation.png"]
    assert all((places.results / figure).is_file() for figure in figures)
    assert "| 15 | **SDZRE, here** | 64.00 | 60.00 | 62.00 | 5 |" in page
    assert "| fewrel.json.gz | 15_ori | 1 | 1 |" in page
    assert page.count("In this profile SDZRE has a softmax over relations for its loss.") == 1
    assert page.count("RE-Matching's own code draws seven") == page.count("### Table 1: main results") == 1
    assert page.count("include the layer of the\ncontrast, which it does not use") == 1


def test_a_fig_8_that_was_drawn_stands_where_it_belongs(places: Places, measure: Measure) -> None:
    for f1, cell in enumerate(main_cells("cpu", "sdzre", "fewrel", 15), start=60):
        measure(cell, f1)
    measure(sweep_cells("cpu", SWEEPS[3], "fewrel")[0.3], 81)
    drawn = places.results / "figures" / "tsne-cpu-fewrel-15_ori-sdzre-13.png"
    drawn.parent.mkdir()
    drawn.touch()
    assert command.main(["--render"], places) == 0
    figures = re.findall(r"!\[.+\]\(figures/(.+)\)", _page(places.results))
    assert figures == ["cpu-f1-over-m.png", drawn.name, "cpu-augmentation.png"]
    assert drawn.exists()


def test_rendering_again_changes_nothing(places: Places, measure: Measure) -> None:
    measure(Cell("paper", "sdzre", "fewrel", 15, "ori"), 80)
    command.main(["--render"], places)
    first = _page(places.results)
    command.main(["--render"], places)
    assert _page(places.results) == first
    # Its profile has the paper's loss.
    assert "softmax over relations for its loss" not in first and "80.00" in first


def test_failed_cells_are_named_and_the_page_is_rendered(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(cells: Sequence[Cell], *others: object) -> list[Cell]:
        return list(cells[:2])

    monkeypatch.setattr(command, "run_cells", fail)
    assert command.main(["--only", "distiller"], places) == 3
    assert capsys.readouterr().err == (
        "experiments: 2 cells failed: cpu/fewrel-15_ori-sdzre-13, cpu/fewrel-15_ori-sdzre-14\n"
    )
    assert _page(places.results)


def test_commands_are_run_for_the_cells_of_the_profile(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZSRE_DATA", str(tmp_path))
    for name in ("fewrel.json.gz", "relations.json", *(f"splits/15_{part}.json" for part in ("ori", 40, 41, 42, 43))):
        (tmp_path / "fewrel" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fewrel" / name).touch()
    ran = []

    def execute(words: Sequence[str]) -> Usage:
        ran.append(words[words.index("--output") + 1])
        raise CommandError("it failed")

    monkeypatch.setattr(command, "execute", execute)
    assert command.main(["--profile", "paper", "--only", "distiller", "--datasets", "fewrel"], places) == 3
    cells = plan("paper", ["distiller"], ["fewrel"])
    assert ran == [str(places.runs / cell.name) for cell in cells] and len(ran) == 15
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"experiments: 15 cells failed: {', '.join(cell.name for cell in cells[:8])}, …"


def test_an_interruption(places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*arguments: object) -> list[Cell]:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_cells", interrupt)
    assert command.main([], places) == 130
    assert capsys.readouterr().err == "experiments: interrupted; the same command goes on where it was\n"
