"""What a person sees of ``zsre-export``."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.interrupting import assert_interrupted
from zsre.exporter import cli, export
from zsre.exporter.cli import newest_run
from zsre.relations.errors import ModelError
from zsre.runner import engine
from zsre.runner.engine import load_engine


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def runs(place: Path, tiny_runs: Callable[[str], Path]) -> Path:
    """Three runs: the newest is unfinished, and the one before it has the newest model of those that are finished."""
    for age, name in enumerate(("unfinished", "new", "old")):
        run = Path(shutil.copytree(tiny_runs("shared"), place / "runs" / name))
        os.utime(run / "model.safetensors", (1e9 - age, 1e9 - age))
    facts = place / "runs" / "unfinished" / "run.json"
    facts.write_text(json.dumps(json.loads(facts.read_text(encoding="utf-8")) | {"finished": False}), encoding="utf-8")
    # A fold of a calibration is no run of its own.
    shutil.copytree(tiny_runs("shared"), place / "runs" / "old" / "folds" / "0")
    return place / "runs"


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err


def test_the_newest_finished_run_is_taken_and_named(
    runs: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["out/model.onnx"]) == 0

    shown = capsys.readouterr()
    assert shown.err == "exporting runs/new\n"
    model, relations, parity = shown.out.splitlines()
    assert re.fullmatch(r"out/model\.onnx: \d\.\d MB", model)
    assert re.fullmatch(r"out/model\.relations\.onnx: \d\.\d MB", relations)
    number = r"\d\.\de[+-]\d\d"
    assert re.fullmatch(
        rf"largest difference from the torch model over 5 sentences: mention vectors {number}, "
        rf"context vectors {number}, relation vectors {number}",
        parity,
    )
    assert load_engine(place / "out" / "model.onnx", "cpu").contract.precision == "fp16"


def test_sigterm_leaves_no_half_of_a_model(
    runs: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(*arguments: object) -> None:
        assert list((place / "out").iterdir()), "nothing is on its way yet"
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(export, "check_parity", killed)
    assert cli.main(["out/model.onnx", "--run", str(runs / "new")]) == 130
    assert list((place / "out").iterdir()) == []
    assert _error(capsys).endswith("zsre-export: interrupted before the export was complete; run it again\n")


def test_only_finished_runs_count(runs: Path) -> None:
    assert newest_run(runs) == runs / "new"
    shutil.rmtree(runs / "new")
    assert newest_run(runs) == runs / "old"
    # Half of a run that was copied is none.
    (runs / "old" / "config.yaml").unlink()
    with pytest.raises(ModelError, match="no finished run under "):
        newest_run(runs)


def test_runs_that_are_damaged_or_were_copied_in_part_are_passed_over(
    runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for age, name in enumerate(("partial", "damaged", "other")):
        shutil.copytree(runs / "new", runs / name)
        os.utime(runs / name / "model.safetensors", (2e9 - age, 2e9 - age))
    (runs / "partial" / "tokenizer.json").unlink()
    (runs / "damaged" / "run.json").write_text("{", encoding="utf-8")
    (runs / "other" / "config.yaml").unlink()
    assert newest_run(runs) == runs / "new"
    partial, damaged = caplog.messages
    assert partial.startswith(f"passed over: {runs / 'partial'}: tokenizer.json missing; a run is its whole folder")
    assert damaged.startswith(f"passed over: {runs / 'damaged' / 'run.json'}: damaged: ")


def test_no_run_to_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["model.onnx"]) == 2
    assert _error(capsys) == (
        "zsre-export: error: no finished run under runs/: give one with --run, or train one with zsre-train\n"
    )


def test_a_run_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing says that it is exported."""
    assert cli.main(["model.onnx", "--run", "runs/nowhere"]) == 2
    assert _error(capsys) == (
        "zsre-export: error: runs/nowhere: not a run directory of zsre-train: it holds no config.yaml\n"
    )


def test_a_run_without_an_epoch(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "old" / "model.safetensors").unlink()
    assert cli.main(["model.onnx", "--run", "runs/old"]) == 2
    assert _error(capsys) == ("zsre-export: error: runs/old: no epoch has finished yet: zsre-train --resume runs/old\n")


@pytest.mark.parametrize("name", ["model.bin", "model", ".onnx", "model.onnx.txt"])
def test_a_name_that_is_no_model_file_s(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told before torch is loaded and a run is looked for."""
    monkeypatch.setitem(sys.modules, "zsre.exporter.export", None)
    assert cli.main([name]) == 2
    assert _error(capsys) == f"zsre-export: error: {name}: a model file's name ends in .onnx\n"


def test_an_interruption(
    runs: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zsre.exporter.export.export_sentences", interrupt)
    assert cli.main(["model.onnx"]) == 130
    assert _error(capsys) == (
        "exporting runs/new\nzsre-export: interrupted before the export was complete; run it again\n"
    )
    assert list(place.iterdir()) == [runs]


@pytest.mark.parametrize(
    ("source", "at", "loaded"),
    [
        (["--run", "runs"], "torch.nn", "zsre.exporter.export"),
        (["--from", "other.onnx"], "onnx", "zsre.exporter.convert"),
    ],
)
def test_an_interruption_while_modules_load(source: list[str], at: str, loaded: str) -> None:
    told = "zsre-export: interrupted before the export was complete; run it again\n"
    assert_interrupted("zsre.exporter.cli", at, loaded, ["model.onnx", *source], told)


@pytest.mark.parametrize("output", ["letter.txt/model.onnx", "letter.txt/below/model.onnx"])
def test_a_path_that_cannot_be_written(
    output: str, runs: Path, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "letter.txt").touch()
    # It is said before the seconds that tracing takes.
    monkeypatch.setattr("zsre.exporter.export.export_sentences", None)
    assert cli.main([output, "--run", "runs/old"]) == 4
    assert re.search(
        r"zsre-export: error: letter\.txt\S*: cannot be written: (File exists|Not a directory)", _error(capsys)
    )


@pytest.mark.parametrize("missing", ["torch", "onnx"])
def test_a_missing_extra_comes_with_its_install_command(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("zsre.exporter.export", "zsre.exporter.graph"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    assert cli.main(["model.onnx"]) == 2
    assert _error(capsys) == f"zsre-export: error: exporting a run needs {missing}: pip install 'zsre[train]'\n"


def test_an_unknown_precision(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["model.onnx", "--precision", "int4"])
    assert caught.value.code == 2
    assert "argument --precision: invalid choice: 'int4'" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"zsre {version('zsre')}\n"


def test_the_model_that_ships_is_converted_by_name(
    place: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "shipped_model", lambda: tiny_model)
    assert cli.main(["gpu.onnx", "--from", "shipped", "--precision", "cuda-fp16"]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"converting {tiny_model}\n"
    assert shown.out.splitlines()[-1].startswith("largest difference from shipped over 5 sentences: mention vectors ")
    assert load_engine(place / "gpu.onnx", "cpu").contract.precision == "cuda-fp16"


def test_a_model_to_convert_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["out.onnx", "--from", "nowhere.onnx"]) == 2
    assert "nowhere.onnx: no such model file" in _error(capsys)


def test_a_run_or_a_model_is_given_and_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["out.onnx", "--from", "shipped", "--run", "runs/new"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_converting_without_onnx(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [own for own in sys.modules if own.startswith("zsre.exporter.") and own != "zsre.exporter.cli"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["out.onnx", "--from", "shipped"]) == 2
    assert "converting a model needs onnx: pip install 'zsre[convert]'" in _error(capsys)
