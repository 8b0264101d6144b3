from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.kept_precision import changes
from benchmarks.page import render
from benchmarks.places import Places
from benchmarks.records import append_line

MEASURED: dict[str, Any] = {
    "row": "kept-precision",
    "date": "2026-01-02T03:04:05+00:00",
    "command": "python -m benchmarks kept-precision --rounds 2",
    "commit": "abc",
    "machine": {"processor": "Some", "used": 2, "memory_gb": 8, "python": "3.11.1"},
    "documents": 1000,
    "relations": "wikidata",
    "bytes": 12_340_000,
    "pairs": 10_000,
    "median": 2.5,
    "ratios": [1.5, 2.0],
    "triples": 1234,
    "lost": 0,
    "gained": 7,
    "score_change": 0.0123,
    "similarity_change": 0.0,
}


def test_a_try_compares_the_triples_of_all_precisions_and_records_nothing(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kept-precision", "--rounds", "1", "--items", "3"], places) == 0
    _, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["`float16`", "`int8`"]
    assert rows[0][4] == "1.00×" and rows[0][7:11] == ["0"] * 4
    exact, small = (float(row[2].removesuffix(" B").replace(",", "")) for row in rows)
    assert 0 < small < exact
    assert not places.results.exists() and not (places.data / "kept-precision").exists()


def test_triples_are_lost_new_or_moved() -> None:
    exact = {("a",): (0.5, 0.3), ("b",): (0.9, 0.6), ("c",): (0.4, 0.2)}
    own = {("b",): (0.8, 0.625), ("c",): (0.4375, 0.2), ("d",): (0.1, 0.1), ("e",): (0.1, 0.1)}
    found = changes(own, exact)
    assert (found["triples"], found["lost"], found["gained"]) == (4, 1, 2)
    assert (found["score_change"], found["similarity_change"]) == pytest.approx((0.1, 0.025))
    assert changes({}, exact)["score_change"] == 0


def test_the_page_has_a_table_of_what_was_measured_last(tmp_path: Path) -> None:
    assert "kept vectors\n" not in render(tmp_path).read_text("utf-8")
    append_line({**MEASURED, "variant": "int4", "date": "2025-12-02T03:04:05+00:00"}, tmp_path)
    append_line({**MEASURED, "variant": "int8"}, tmp_path)
    page = render(tmp_path).read_text("utf-8")
    row = "12.3 MB | 1,234 B | 2.50 s | 1.75× | 1.50× to 2.00× | 1,234 | 0 | 7 | 1.2e-02 | 0 | 2 | 2026-01-02 |"
    assert [line for line in page.splitlines() if line.startswith("| `int")] == [f"| `int8` | {row}"]
    assert "the first 1,000 documents" in page
