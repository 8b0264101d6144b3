from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from experiments import adapted_pairs
from experiments.adapted_pairs import COLUMNS, SETTINGS, Asked, Fold, best_f1, pair_tables
from zsre.relations.relation import Relation
from zsre.trainer.config import TrainConfig

RELATIONS = {name: [Relation(name, name, f"the {name} of this")] for name in ("river", "bridge")}


def _fold(similarities: Sequence[Sequence[float]], asked: list[str]) -> Fold:
    def compare(blocks: list[str]) -> Any:
        assert blocks == asked
        return np.asarray(similarities)[:, :, None]

    encoder = SimpleNamespace(blocks=lambda relations, alpha: [each.id for each in relations])
    none = Asked((), np.zeros((0, 0), bool), np.zeros((0, 0), bool))
    config = cast("TrainConfig", SimpleNamespace(model=SimpleNamespace(alpha=0.3)))
    return Fold(cast("Any", SimpleNamespace(similarities=compare)), cast("Any", encoder), config, (), none, none)


def test_the_best_threshold_counts_and_types_that_do_not_fit_are_missed() -> None:
    similarities = [[0.9, 0.1], [0.8, 0.7], [0.6, 0.95]]
    correct = np.array([[True, False], [False, True], [True, True]])
    asked = Asked(("bridge", "river"), np.array([[True, True], [True, True], [True, False]]), correct)
    # In order: right, wrong, right, right; a fourth fact is out of reach.
    assert best_f1(_fold(similarities, ["bridge", "river"]), asked, RELATIONS) == pytest.approx(6 / 8)


def test_a_relation_that_is_not_worded_is_left_out() -> None:
    asked = Asked(("bridge", "river"), np.ones((2, 2), bool), np.array([[True, False], [False, True]]))
    fold = _fold([[0.2], [0.4]], ["river"])
    assert best_f1(fold, asked, {"river": RELATIONS["river"]}) == 1.0


def test_wordings_are_left_out_of_what_fits_the_adapter_and_asked_for(
    tiny_runs: Callable[[str], Path], tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_runs("shared"), tmp_path / "run" / "folds" / "0")
    monkeypatch.setattr(adapted_pairs, "DATA", str(tiny_data / "labelled.jsonl"))
    other = tmp_path / "other.yaml"
    shutil.copy(tiny_data / "relations.yaml", other)
    loaded: list[list[str]] = []
    load = adapted_pairs.load_texts
    monkeypatch.setattr(adapted_pairs, "load_texts", lambda sources: loaded.append(list(sources)) or load(sources))
    introduction, header, _, *rows = pair_tables(tmp_path / "run", [str(other)], "the command")
    assert "`the command`" in introduction
    assert header == "| ridge, width | " + " | ".join(COLUMNS) + " |"
    assert len(rows) == len(SETTINGS) and rows[0].startswith("| no adapter | ")
    first = str(tiny_data / "relations.yaml")
    assert loaded == [[first], [first], [first], [first], [str(other)]]
    # Wordings that are the same are worth the same.
    assert all(row.split(" | ")[1] == row.split(" | ")[2] for row in rows)
