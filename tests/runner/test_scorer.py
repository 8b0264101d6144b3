from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from zsre.relations.contract import UNCALIBRATED
from zsre.relations.errors import MissingExtraError, ModelError, UsageError
from zsre.runner import scorer as scorer_module
from zsre.runner.engine import Engine
from zsre.runner.scorer import SCORERS, Scorer, load_scorer


def install(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that this is the adapter for run directories that is installed, or that none is."""
    found = [] if value is None else [EntryPoint("run-directory", value, SCORERS)]
    monkeypatch.setattr(scorer_module, "entry_points", lambda group, name: found)


def test_an_exported_model_says_what_it_is(tiny_model: Path) -> None:
    scorer = load_scorer(tiny_model, "cpu", 1)
    assert isinstance(scorer, Engine)
    assert (scorer.contract.name, scorer.contract.seen_data) == ("shared", ("labelled",))
    assert scorer.contract.seen_relations == ("author", "born", "crosses", "founder")


def test_a_run_directory_is_loaded_by_the_adapter_that_is_installed(
    tiny_runs: Callable[[str], Path], tiny_model: Path
) -> None:
    scorer, exported = load_scorer(tiny_runs("shared"), "auto", None), load_scorer(tiny_model, "cpu", 1)
    assert not isinstance(scorer, Engine)
    assert scorer.contract == exported.contract
    assert scorer.contract.calibration != UNCALIBRATED


def test_a_folder_that_is_no_run_directory(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_scorer(tmp_path, "auto", None)


@pytest.mark.usefixtures("locked")
def test_a_model_that_may_not_be_looked_at() -> None:
    with pytest.raises(ModelError, match=r"^locked/run: cannot be read: Permission denied; check the path"):
        load_scorer(Path("locked/run"), "auto", None)


def test_a_run_directory_without_an_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(None, monkeypatch)
    with pytest.raises(ModelError) as caught:
        load_scorer(tmp_path, "auto", None)
    assert (
        str(caught.value) == f"{tmp_path}: a folder, and no adapter for run directories is installed; give a model.onnx"
    )


def test_a_run_directory_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("no_such_torch:load", monkeypatch)
    with pytest.raises(MissingExtraError) as caught:
        load_scorer(tmp_path, "auto", None)
    assert str(caught.value) == "a run directory needs no_such_torch: pip install 'zsre[train]'"


def test_threads_are_none_of_a_run_directory_s_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(f"{__name__}:never", monkeypatch)
    with pytest.raises(UsageError) as caught:
        load_scorer(tmp_path, "auto", 2)
    assert str(caught.value) == (
        f"--threads 2: is for exported models, and {tmp_path} is a run directory: zsre-export it first"
    )


def never(path: Path, device: str) -> Scorer:
    raise AssertionError("the flags come first")
