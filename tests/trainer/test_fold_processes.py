"""Models of folds are trained beside the run's own, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml

from zsre.relations.errors import ZsreError
from zsre.relations.interrupts import sigterm_interrupts
from zsre.trainer import cli, fold_processes
from zsre.trainer.beginning import read_reading, write_reading
from zsre.trainer.checkpoint import is_finished, read_run_config
from zsre.trainer.config import TrainConfig
from zsre.trainer.fold_processes import folds_beside
from zsre.trainer.folds import train_fold

RELATIONS = ("P1", "P2", "P3", "P4")


@pytest.fixture
def config(tiny_config: Callable[..., TrainConfig], tiny_data: Path) -> TrainConfig:
    return tiny_config(calibration={"data": [{"path": str(tiny_data / "labelled.jsonl")}], "folds": 2})


class FakeProcess:
    """Stands in for a process: it notes when it runs, and ends as told."""

    log: ClassVar[list[tuple[str, str]]]
    code = 0
    said = ""
    seconds = 0.05

    def __init__(self, command: list[str], **options: Any) -> None:
        self.folder = Path(command[command.index("--resume") + 1]).name
        self.command = command
        self.returncode = type(self).code
        self.ended = False
        self.log.append(("start", self.folder))

    def communicate(self) -> tuple[None, str]:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until and not self.ended:
            time.sleep(0.005)
        self.log.append(("end", self.folder))
        return None, self.said

    def terminate(self) -> None:
        self.ended, self.returncode = True, -15


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> type[FakeProcess]:
    class Fake(FakeProcess):
        log: ClassVar[list[tuple[str, str]]] = []

    monkeypatch.setattr(fold_processes.subprocess, "Popen", Fake)
    return Fake


def most_at_a_time(log: list[tuple[str, str]]) -> int:
    running, most = 0, 0
    for event, _ in log:
        running += 1 if event == "start" else -1
        most = max(most, running)
    return most


def test_no_more_run_at_a_time_than_was_asked_for_the_body_among_them(
    config: TrainConfig, tmp_path: Path, processes: type[FakeProcess]
) -> None:
    with folds_beside(config, tmp_path, RELATIONS, 1, []):
        time.sleep(0.05)
        assert processes.log == [], "the body is the one process"
    assert len(processes.log) == 4 and most_at_a_time(processes.log) == 1

    processes.log.clear()
    with folds_beside(config, tmp_path, RELATIONS, 2, []):
        time.sleep(0.3)
        assert len(processes.log) == 4 and most_at_a_time(processes.log) == 1, "one beside the body"


def test_a_fold_has_the_run_s_configuration_without_its_relations_and_without_a_calibration(
    config: TrainConfig, tmp_path: Path, processes: type[FakeProcess]
) -> None:
    write_reading(tmp_path, "what the run read")
    with folds_beside(config, tmp_path, RELATIONS, 2, ["--device", "cpu"]):
        pass
    assert [read_reading(tmp_path / "folds" / number) for number in "01"] == ["what the run read"] * 2
    folds = [read_run_config(tmp_path / "folds" / number) for number in "01"]
    assert sorted(relation for fold in folds for relation in fold.held_out) == list(RELATIONS)
    for fold in folds:
        assert not fold.calibration.data
        assert fold.optim == config.optim and fold.data == config.data


def test_a_process_that_fails_ends_it_with_what_it_said(
    config: TrainConfig, tmp_path: Path, processes: type[FakeProcess]
) -> None:
    processes.code, processes.said = 4, "some line\nzsre-train: error: no room\n"
    with (
        pytest.raises(ZsreError, match=r"folds/\d: zsre-train: error: no room$"),
        folds_beside(config, tmp_path, RELATIONS, 3, []),
    ):
        pass
    processes.said = ""
    with (
        pytest.raises(ZsreError, match=r"folds/\d: exit code 4$"),
        folds_beside(config, tmp_path, RELATIONS, 3, []),
    ):
        pass


def test_a_process_that_fails_ends_the_others_at_once(
    config: TrainConfig, tmp_path: Path, processes: type[FakeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = processes.__init__

    def fold_1_fails(self: FakeProcess, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **options)
        self.returncode, self.seconds = (4, 0.05) if self.folder == "1" else (0, 60)

    monkeypatch.setattr(processes, "__init__", fold_1_fails)
    begun = time.monotonic()
    with (
        pytest.raises(ZsreError, match=r"folds/1: exit code 4$"),
        folds_beside(config, tmp_path, RELATIONS, 3, []),
    ):
        time.sleep(0.3)
        assert ("end", "0") in processes.log, "not only once the body is done"
    assert time.monotonic() - begun < 30


def test_an_interruption_stops_them_and_starts_no_more(
    config: TrainConfig, tmp_path: Path, processes: type[FakeProcess]
) -> None:
    processes.seconds = 60
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), folds_beside(config, tmp_path, RELATIONS, 2, []):
        while not processes.log:
            time.sleep(0.005)
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 30
    assert [event for event, _ in processes.log] == ["start", "end"]


def test_sigterm_stops_them_as_an_interruption_does(
    config: TrainConfig, tmp_path: Path, processes: type[FakeProcess]
) -> None:
    processes.seconds = 60
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts(), folds_beside(config, tmp_path, RELATIONS, 2, []):
        while not processes.log:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    assert time.monotonic() - begun < 30
    assert [event for event, _ in processes.log] == ["start", "end"]


def test_the_command_trains_the_same_models_as_one_after_the_other(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zsre-train.yaml").write_text(yaml.safe_dump(config.to_dict()), encoding="utf-8")
    arguments = [sys.executable, "-m", "zsre.trainer.cli", "--quiet", "--processes", "2", "--threads", "1"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    # A model this small may know nothing of relations that it has not seen.
    assert done.returncode == 0 or "similarity does not tell right triples from wrong ones" in done.stderr, done.stderr

    beside = Path("runs/tiny/folds/1")
    assert is_finished(Path("runs/tiny")) and is_finished(Path("runs/tiny/folds/0")) and is_finished(beside)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train_fold(config, Path("alone/1"), read_run_config(beside).held_out, torch.device("cpu"), lambda status: None)
    torch.set_num_threads(threads)
    assert (beside / "model.safetensors").read_bytes() == Path("alone/1/model.safetensors").read_bytes()
    assert json.loads((beside / "run.json").read_text()) == json.loads(Path("alone/1/run.json").read_text())


def test_processes_that_cannot_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--processes", "0"]) == 2
    assert "--processes 0: give at least 1" in capsys.readouterr().err
