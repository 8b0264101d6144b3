"""How ``zsre-train`` is interrupted, goes on, and keeps others out of its run meanwhile."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interrupting import assert_interrupted
from tests.trainer.command import error_of
from zsre.relations.lock import FolderLock
from zsre.trainer import beginning, cli, folds, setup
from zsre.trainer.loop import Status

pytestmark = pytest.mark.usefixtures("place")


def test_an_interrupted_run_and_its_resumption(
    configured: Callable[..., str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()

    def interrupt(status: Status) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli, "show_progress", interrupt)
        assert cli.main([]) == 130
    assert error_of(capsys).splitlines()[-1] == "zsre-train: interrupted; go on with --resume runs/tiny"
    assert not (place / "runs" / "tiny" / "model.safetensors").exists()

    assert cli.main(["--resume", "runs/tiny"]) == 0
    assert (place / "runs" / "tiny" / "model.safetensors").exists()
    # There is nothing left to do.
    monkeypatch.setattr(setup, "prepare", None)
    assert cli.main(["--resume", "runs/tiny"]) == 0


def test_one_process_trains_a_run_at_a_time(
    configured: Callable[..., str], tiny_runs: Callable[[str], Path], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    (place / "new").mkdir()
    shutil.copytree(tiny_runs("shared"), place / "begun")
    told = "another run is writing to it; wait for it, or give another directory with -o"
    for folder, flags in (("new", ["-o", "new"]), ("begun", ["--resume", "begun"])):
        before = sorted((place / folder).rglob("*"))
        lock = FolderLock(place / folder)
        try:
            assert cli.main(flags) == 4
        finally:
            lock.close()
        assert error_of(capsys).splitlines()[-1] == f"zsre-train: error: {folder}: {told}"
        assert [path for path in sorted((place / folder).rglob("*")) if path.name != ".lock"] == before
        # Whoever held it is done.
        assert cli.main(["--quiet", *flags]) == 0


def test_what_a_killed_process_leaves_is_no_run_and_hinders_none(
    configured: Callable[..., str], tiny_runs: Callable[[str], Path], place: Path
) -> None:
    configured()
    (place / "killed").mkdir()
    for name in (".lock", "config.yaml.tmp"):
        (place / "killed" / name).touch()
    assert cli.main(["--quiet", "-o", "killed"]) == 0
    # The very last that a run does is to remove its checkpoint.
    shutil.copytree(tiny_runs("shared"), place / "finished")
    (place / "finished" / "checkpoint.safetensors").touch()
    assert cli.main(["--quiet", "--resume", "finished"]) == 0
    assert not (place / "finished" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["prepare", "start_run"])
def test_an_interruption_before_anything_was_written(
    when: str, number: signal.Signals, configured: Callable[..., str], place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    configured()

    def interrupt(*arguments: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(setup if when == "prepare" else beginning, when, interrupt)
    assert cli.main(["--quiet"]) == 130
    assert error_of(capsys) == "zsre-train: interrupted; nothing was written\n"
    assert [path.name for path in place.iterdir()] == ["zsre-train.yaml"]


def test_an_interruption_while_modules_load(configured: Callable[..., str]) -> None:
    configured()
    told = "zsre-train: interrupted; nothing was written\n"
    assert_interrupted("zsre.trainer.cli", "torch.nn", "zsre.trainer.setup", [], told)


def test_an_interruption_while_resuming_or_calibrating(
    configured: Callable[..., str], tiny_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(calibration={"data": [{"path": str(tiny_data / "labelled.jsonl")}]})

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folds, "calibrate", interrupt)
    assert cli.main(["--quiet", "-o", "mine"]) == 130
    assert cli.main(["--quiet", "--resume", "mine"]) == 130
    assert error_of(capsys) == 2 * "zsre-train: interrupted; go on with --resume mine\n"
