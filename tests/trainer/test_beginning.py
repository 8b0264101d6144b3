from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zsre.relations.errors import ModelError, OutputError
from zsre.relations.lock import HeldError, is_locked
from zsre.trainer.beginning import check_calibration_reading, check_reading, held, make_directory, start_run
from zsre.trainer.checkpoint import read_run_config
from zsre.trainer.config import TrainConfig


def test_a_start_keeps_the_configuration(tiny_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny_config(held_out=["P1"], calibration={"folds": 3})
    start_run(tmp_path / "runs" / "a", config)
    assert read_run_config(tmp_path / "runs" / "a") == config


def test_a_start_keeps_what_the_run_is_made_from(tiny_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    start_run(tmp_path, tiny_config(), "read", "calibrated on")
    check_reading(tmp_path, "read")
    check_calibration_reading(tmp_path, "calibrated on")
    with pytest.raises(ModelError, match="its data or relation texts are not those"):
        check_reading(tmp_path, "other")
    with pytest.raises(ModelError, match="its calibration data or relation texts are not those that it began with"):
        check_calibration_reading(tmp_path, "other")
    (tmp_path / "calibration.sha256").unlink()
    check_calibration_reading(tmp_path, "other")


def test_a_start_takes_no_directory_that_holds_a_run(tiny_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    start_run(tmp_path / "a", tiny_config())
    with pytest.raises(OutputError, match=f"a: not empty; go on with it by --resume {tmp_path / 'a'}, or give"):
        start_run(tmp_path / "a", tiny_config())


def test_a_start_takes_no_directory_that_holds_anything_else(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(OutputError, match="not empty; give another -o") as caught:
        make_directory(tmp_path)
    assert "--resume" not in str(caught.value)


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    make_directory(tmp_path)
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_path_that_cannot_be_a_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"{name}: cannot be made a folder: .*; give another -o"):
        make_directory(tmp_path / name)


def test_a_directory_is_held_by_one_and_goes_again_if_no_run_begins_in_it(
    tiny_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/a"):
        with held(tmp_path / name, new=True), pytest.raises(HeldError), held(tmp_path / name, new=True):
            pass
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "empty"]
    with held(tmp_path / "run", new=True):
        start_run(tmp_path / "run", tiny_config())
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "config.yaml"]
    with held(tmp_path / "run"):
        assert is_locked(tmp_path / "run")


def test_a_lock_that_cannot_be_removed_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(KeyError), held(tmp_path / "run", new=True):
        raise KeyError
    assert not is_locked(tmp_path / "run")
