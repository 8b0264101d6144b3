"""What ``zsre-train`` tells of calibration, and when."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import RELATIONS as TINY_RELATIONS
from tests.trainer.command import error_of
from zsre.relations.contract import Calibration
from zsre.trainer import checkpoint, cli, folds, loop
from zsre.trainer.config import TrainConfig

pytestmark = pytest.mark.usefixtures("place")
Config = Callable[..., TrainConfig]
RELATIONS = list(TINY_RELATIONS)


def test_more_folds_than_relations_are_told_before_anything_is_trained(
    configured: Callable[..., str], place: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(calibration={"data": [{"path": str(tiny_data / "labelled.jsonl")}], "folds": 9})
    assert cli.main(["--quiet"]) == 2
    assert "zsre-train: error: calibration.folds: 9 folds are more than 4 relations" in error_of(capsys)
    assert [path.name for path in place.iterdir()] == ["zsre-train.yaml"]


def test_calibration_data_that_states_nothing_seen_is_told_before_anything_is_trained(
    configured: Callable[..., str], place: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = (tiny_data / "labelled.jsonl").read_text("utf-8")
    for relation in RELATIONS:
        other = other.replace(f'"{relation}"', '"P9"')
    (place / "other.jsonl").write_text(other, "utf-8")
    configured(calibration={"data": [{"path": "other.jsonl"}], "folds": 2})
    assert cli.main(["--quiet"]) == 2
    assert error_of(capsys) == (
        "zsre-train: error: calibration.data: states none of the 4 relations that are trained on, as author, born, "
        "crosses, founder; it states P9: give data with these ids, or leave it out\n"
    )
    assert sorted(path.name for path in place.iterdir()) == ["other.jsonl", "zsre-train.yaml"]


class TestCalibration:
    @pytest.fixture
    def run(self, tiny_config: Config, tiny_runs: Callable[[str], Path], tiny_data: Path, place: Path) -> Path:
        """A run that was trained and is to be calibrated on ``dense.jsonl``."""
        run = Path(shutil.copytree(tiny_runs("shared"), place / "run"))
        shutil.copy(tiny_data / "labelled.jsonl", place / "dense.jsonl")
        config = tiny_config(calibration={"data": [{"path": "dense.jsonl"}], "folds": 2})
        (run / "config.yaml").write_text(yaml.safe_dump(config.to_dict()), encoding="utf-8")
        return run

    def test_is_part_of_what_a_run_begins_with(
        self, run: Path, configured: Callable[..., str], place: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        """Other data is told before anything is trained, and is taken by whoever says so."""
        configured(calibration={"data": [{"path": "dense.jsonl"}], "folds": 2})

        def interrupt(*arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "fit", interrupt)
        monkeypatch.setattr(folds, "calibrate", interrupt)
        assert cli.main(["--quiet", "-o", "begun"]) == 130
        shutil.copy(place / "begun" / "calibration.sha256", run)
        dense = (place / "dense.jsonl").read_text("utf-8")
        (place / "dense.jsonl").write_text(dense.replace("GPE", "LOC"), "utf-8")
        error_of(capsys)
        for name in ("begun", "run"):
            assert cli.main(["--quiet", "--resume", name]) == 2
            assert error_of(capsys) == (
                f"zsre-train: error: {name}: its calibration data or relation texts are not those that it began with; "
                f"put these back, or remove {name}/calibration.sha256 to calibrate it on what is there now\n"
            )
            (place / name / "calibration.sha256").unlink()
            assert cli.main(["--quiet", "--resume", name]) == 130
            error_of(capsys)

    def test_is_done_once(self, run: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A run that has it is at its end, whatever became of the data."""
        checkpoint.write_calibration(run, Calibration(12.5, -7.25))
        before = (run / "calibration.json").read_bytes()
        (place / "dense.jsonl").unlink()
        assert (
            cli.main(["--quiet", "--resume", "run"])
            == cli.main(["--quiet", "--resume", "run", "--processes", "2"])
            == 0
        )
        assert (run / "calibration.json").read_bytes() == before
