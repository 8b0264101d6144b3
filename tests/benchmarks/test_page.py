from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import machine_text, render, summary
from benchmarks.plan import Row, Target
from benchmarks.records import RECORDS, append_line, latest, make_line, predicted, read_lines
from benchmarks.rows import ROWS
from benchmarks.turns import Counts
from measuring.machine import machine
from zsre.relations.errors import DataError

MORE: dict[str, Any] = {
    "variant": "fp32",
    "command": "python -m benchmarks run --rows x",
    "commit": "abc",
    "machine": {"processor": "Some", "used": 2, "memory_gb": 8, "python": "3.11.1"},
    "corpora": {},
}


def row(name: str) -> Row:
    return next(own for own in ROWS if own.name == name)


def line(name: str, rounds: list[dict[str, Counts]], **more: Any) -> Any:
    facts = {party.title: {"version": "1.0", "fingerprint": "f"} for party in row(name).parties}
    return make_line(row(name), rounds, facts, **{**MORE, **more})


def spacy_round(zsre: float, zsre_2: float, spacy: float, spacy_2: float) -> dict[str, Counts]:
    titles = [party.title for party in row("spacy").parties]
    return {
        title: {"documents": n, "seconds": 1.0} for title, n in zip(titles, (zsre, zsre_2, spacy, spacy_2), strict=True)
    }


def test_the_best_of_either_side_are_compared() -> None:
    found = line("spacy", [spacy_round(40, 30, 90, 100), spacy_round(40, 50, 90, 80), spacy_round(42, 30, 80, 84)])
    assert (found["subject"], found["baseline"]) == ("zsre, one process", "spaCy, one process")
    assert found["ratios"] == [pytest.approx(4 / 9, rel=1e-4), pytest.approx(4 / 9, rel=1e-4), 0.525]
    assert found["parties"]["zsre, one process"]["median"] == 40


def test_the_best_is_the_one_with_the_least_only_where_less_is_better() -> None:
    """Neither of these is a count by a clock."""
    for name, least in (("start", True), ("memory", True), ("kept", True), ("gpu-use", False)):
        own = row(name)
        (party,) = own.subjects
        two = replace(own, subjects=(party, replace(party, title="another")), baselines=())
        rounds = [{party.title: {own.figure.name: 1.0}, "another": {own.figure.name: 2.0}}]
        found = make_line(two, rounds, {party.title: {}, "another": {}}, **MORE)
        assert found["subject"] == (party.title if least else "another"), name


def test_fewer_seconds_are_better() -> None:
    seconds = [{"from kept vectors": {"seconds": 2.0}, "from text": {"seconds": 300.0}}]
    assert line("kept", seconds)["median"] == 150


def test_a_row_without_a_baseline_is_its_own_figure() -> None:
    found = line("start", [{"zsre": {"seconds": 2.0}}, {"zsre": {"seconds": 3.0}}])
    assert (found["median"], found["ratios"]) == (2.5, [2.0, 3.0])
    assert summary(row("start"), "fp32", found)[:4] == ["2.50 s", "2.00 s to 3.00 s", "2", "≤ 5.00 s"]


def test_arithmetic_predicts_by_the_operations_of_a_sentence() -> None:
    fewer = {"flops": 90.0, "score_flops": 10.0, "sentences": 10.0}
    more = {"flops": 180.0, "score_flops": 220.0, "sentences": 20.0}
    assert predicted(more, fewer) == 0.5


def test_targets_go_by_variant_of_the_model() -> None:
    assert row("spacy").target("fp32") == Target(least=0.38)
    assert row("spacy").target("bf16") == Target(least=0.45)
    assert row("flops-graph").target("fp32") is None
    assert (Target(least=15).met(15), Target(least=15).met(14.9), Target(most=1.1).met(1.2)) == (True, False, False)


def test_the_page_is_made_of_the_recorded_lines(tmp_path: Path) -> None:
    append_line(line("spacy", [spacy_round(20, 10, 90, 80)]), tmp_path)
    append_line(line("spacy", [spacy_round(40, 30, 100, 80)]), tmp_path)
    append_line(line("spacy", [spacy_round(44, 30, 100, 80)], variant="bf16"), tmp_path)
    page = render(tmp_path).read_text("utf-8")
    table = [text for text in page.splitlines() if text.startswith("| spacy | spaCy alone")]
    assert [text.split(" | ")[3:9] for text in table] == [
        ["fp32", "0.40×", "", "1", "≥ 0.38×", "yes"],
        ["bf16", "0.44×", "", "1", "≥ 0.45×", "no"],
    ]
    assert page.count("| not run |") == len(ROWS) - 1
    assert "| spacy | bf16 | zsre, one process | 44 documents/s |" in page
    assert "version 1.0" in page
    assert "fingerprint" not in page
    assert "Some, 2 processors used, 8 GB, Python 3.11.1. Commits: `abc`" in page
    assert render(tmp_path).read_text("utf-8") == page


def test_what_is_inside_stands_beside_every_row(tmp_path: Path) -> None:
    page = render(tmp_path).read_text("utf-8")
    assert len({own.name for own in ROWS}) == len(ROWS)
    for own in ROWS:
        assert f"| {own.name} | {own.against} | {own.inside} | {own.usual_variant} |" in page
        assert len({party.title for party in own.parties}) == len(own.parties)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / RECORDS).write_text("{}\n{\n", "utf-8")
    with pytest.raises(DataError, match="line 2: is not JSON"):
        read_lines(tmp_path)


def test_the_last_line_of_a_row_counts() -> None:
    lines = [{"row": "a", "variant": "x", "n": 1}, {"row": "b", "variant": "x"}, {"row": "a", "variant": "x", "n": 2}]
    assert latest(lines)["a", "x"]["n"] == 2


def test_a_gpu_is_named_before_the_processor() -> None:
    assert machine_text(machine(16, "Some GPU")).startswith("Some GPU, ")
