from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.exporter.exported_run import SENTENCES, ExportedRun
from zsre.relations.errors import MissingExtraError, ModelError, UsageError
from zsre.relations.relation import Relation, RelationSet
from zsre.runner import eval_cli, scorer
from zsre.runner.scorer import load_scorer

RELATIONS = RelationSet((Relation("home", "home", "the city this person lives in"), Relation("b", "born", "born in")))


def _figures(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    flags = ["--relations", str(data / "relations.yaml"), "--split", str(data / "split.json"), "--part", "train"]
    assert eval_cli.main([str(model), "--data", str(data / "labelled.jsonl"), *flags, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_and_its_export_are_measured_alike(
    either: ExportedRun, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _figures(either.run.directory, tiny_data, capsys)
    exported = _figures(either.exported.model, tiny_data, capsys)

    assert run["pairs"] == 160 and run["relations"] == 4 and run["f1"] > 0
    assert run["seen"] == ["author", "born", "crosses", "founder"]
    for alone in ("date", "seconds", "pairs_per_second"):
        assert run.pop(alone) and exported.pop(alone)
    assert run == exported


def test_a_run_encodes_as_its_export_does(either: ExportedRun) -> None:
    run, exported = (load_scorer(path, "cpu", None) for path in (either.run.directory, either.exported.model))

    one, other = run.encode(SENTENCES), exported.encode(SENTENCES)

    np.testing.assert_array_equal(one.kept, other.kept)
    np.testing.assert_allclose(run.relation_vectors(RELATIONS), exported.relation_vectors(RELATIONS), atol=1e-5)
    vectors = run.relation_vectors(RELATIONS)
    # Both are rounded to float16, and a hair may fall on either side.
    np.testing.assert_allclose(one.similarities(vectors), other.similarities(vectors), atol=1e-3)


def test_a_run_says_of_itself_what_its_export_says(either: ExportedRun) -> None:
    run, exported = (load_scorer(path, "cpu", None) for path in (either.run.directory, either.exported.model))
    assert run.contract == exported.contract


def test_a_run_is_measured_on_the_device_that_is_asked_for(
    either: ExportedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_scorer(either.run.directory, "cpu", None).device == "CPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_scorer(either.run.directory, "auto", None).device == "CPU"
    with pytest.raises(UsageError, match="--device cuda: torch sees no CUDA device; use --device cpu or auto"):
        load_scorer(either.run.directory, "cuda", None)


def test_a_folder_that_is_no_run(tmp_path: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="not a run directory of zsre-train"):
        load_scorer(tmp_path, "cpu", None)
    flags = ["--data", str(tiny_data / "labelled.jsonl"), "--relations", str(tiny_data / "relations.yaml")]
    assert eval_cli.main([str(tmp_path), *flags]) == 2
    assert capsys.readouterr().err == (
        f"zsre-eval: error: {tmp_path}: not a run directory of zsre-train: it holds no config.yaml\n"
    )


def test_a_run_where_torch_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def load(self) -> object:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(scorer, "entry_points", lambda group, name: [Entry()])
    with pytest.raises(MissingExtraError, match=r"a run directory needs torch: pip install 'zsre\[train\]'"):
        load_scorer(tmp_path, "cpu", None)
