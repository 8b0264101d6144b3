from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.encoding import speed_facts
from benchmarks.page import render
from benchmarks.places import Places
from benchmarks.precision import chosen_precisions, largest, similarities
from benchmarks.records import append_line, read_lines
from zsre.relations.catalogue import load_relations
from zsre.relations.errors import UsageError
from zsre.relations.examples import Mention
from zsre.relations.vectors import PairSentence
from zsre.runner.engine import load_engine

MEASURED: dict[str, Any] = {
    "row": "precision",
    "date": "2026-01-02T03:04:05+00:00",
    "command": "python -m benchmarks precision --run runs/one --rounds 2",
    "commit": "abc",
    "machine": {"processor": "Some", "used": 2, "memory_gb": 8, "python": "3.11.1"},
    "unit": "sentences/s",
    "figures": [200.0, 240.0],
    "median": 220.0,
    "ratios": [2.0, 2.5],
    "f1": 96.125,
    "f1_pairs": 1500,
    "f1_data": "fewrel.json.gz, the eval relations of split.json",
    "f1_relations": 5,
    "f1_seen": 4,
    "model": "one",
    "bytes": [24_000_000, 23_000_000],
    "parity": 0.01,
    "batch_change": 0.0,
    "from_fp32": 0.0123,
    "from_fp32_mean": 0.002,
}


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a data folder with two relations of FewRel, one to choose by and one to train on."""
    folder = tmp_path / "labelled"
    (folder / "fewrel" / "splits").mkdir(parents=True)
    data = {
        relation: [
            {"tokens": [name, word, "brent", "."], "h": [name, None, [[0]]], "t": ["brent", None, [[2]]]}
            for name in ("ada", "bo", "cleo")
        ]
        for relation, word in (("P26", "of"), ("P112", "founded"), ("P19", "born"))
    }
    (folder / "fewrel" / "fewrel.json.gz").write_bytes(gzip.compress(json.dumps(data).encode()))
    split = {"train": ["P19"], "eval": ["P26", "P112"], "test": []}
    (folder / "fewrel" / "splits" / "15_ori.json").write_text(json.dumps(split), encoding="utf-8")
    monkeypatch.setenv("ZSRE_DATA", str(folder))
    return folder


def test_a_try_measures_every_precision_and_records_nothing(
    tiny_runs: Callable[[str], Path], places: Places, labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--precisions", "int8", "--rounds", "1", "--items", "2"]
    assert main(["precision", "--run", str(tiny_runs("shared")), *flags], places) == 0
    _, _, exact, small = capsys.readouterr().out.splitlines()
    assert exact.startswith("| `fp32` |") and small.startswith("| `int8` |")
    assert [cell.strip() for cell in exact.split("|")][4:6] == ["1.00×", "1.00× to 1.00×"]
    assert [cell.strip() for cell in exact.split("|")][7:10] == ["0", "0", "0"]
    assert (places.data / "precision" / "int8" / "model.relations.onnx").is_file()
    assert not places.results.exists()


def test_precisions_are_compared_with_fp32_and_unknown_ones_refused() -> None:
    assert chosen_precisions("int8,fp32") == ["fp32", "int8"]
    assert chosen_precisions(None)[0] == "fp32" and len(chosen_precisions(None)) == 5
    with pytest.raises(UsageError, match="there is no 'int4'; give some of fp32,fp16,"):
        chosen_precisions("int4")


def test_speed_is_compared_within_a_round() -> None:
    assert speed_facts([20.0, 90.0, 40.0], [10.0, 30.0, 20.0])["ratios"] == [2.0, 3.0, 2.0]


def test_similarities_are_of_all_pairs_in_order_however_they_are_divided(tiny_model: Path) -> None:
    engine, relations = load_engine(tiny_model, "cpu", 1), load_relations("wikidata:P26,P112,P19")
    sentences = [
        PairSentence(f"{name} was born in brent .", (Mention(0, len(name)), Mention(len(name) + 13, len(name) + 18)),
                     ((0, 1), (1, 0)))
        for name in ("ada", "cleo", "finn")
    ]  # fmt: skip
    together = similarities(engine, [sentences], relations)
    assert together.shape == (6, 3)
    assert largest(together, similarities(engine, ([own] for own in sentences), relations)) == 0
    assert largest(together, similarities(engine, [sentences[::-1]], relations)) > 0
    assert np.abs(together).max() <= 1


def test_the_page_has_a_table_of_what_was_measured_last(tmp_path: Path) -> None:
    assert "## Precision" not in render(tmp_path).read_text("utf-8")
    append_line({**MEASURED, "variant": "fp32", "f1": 10.0}, tmp_path)
    append_line({**MEASURED, "variant": "fp32"}, tmp_path)
    append_line({**MEASURED, "variant": "int8", "batch_change": 0.00123}, tmp_path)
    page = render(tmp_path).read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith(("| `fp32`", "| `int8`"))]
    figures = "47.0 MB | 220 sentences/s | 2.25× | 2.00× to 2.50× | 96.12"
    assert rows == [
        f"| `fp32` | {figures} | 0 | 1.2e-02 | 2.0e-03 | 2 | 2026-01-02 |",
        f"| `int8` | {figures} | 1.2e-03 | 1.2e-02 | 2.0e-03 | 2 | 2026-01-02 |",
    ]
    assert "Made by `python -m benchmarks precision --run runs/one --rounds 2` of the run `one`" in page
    assert "1,500 pairs of fewrel.json.gz" in page
    assert len(read_lines(tmp_path)) == 3
