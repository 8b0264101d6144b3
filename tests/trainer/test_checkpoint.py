from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from zsre.relations.contract import Calibration
from zsre.relations.errors import ConfigError, ModelError, OutputError, ZsreError
from zsre.trainer import checkpoint
from zsre.trainer.checkpoint import (
    Progress,
    cut_metrics,
    drop_checkpoint,
    is_finished,
    load_checkpoint,
    read_calibration,
    read_run,
    read_run_config,
    save_checkpoint,
    write_calibration,
    write_text,
)

PROGRESS = Progress(epoch=1, batch=3, step=13, best_f1=0.25, best_epoch=0)


@pytest.fixture
def run(tiny_runs: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(tiny_runs("shared"), tmp_path / "run"))


def _trained(seed: int) -> tuple[dict[str, nn.Module], torch.optim.Optimizer]:
    """Two modules after two steps of AdamW, whose second step depends on the moments of the first."""
    torch.manual_seed(seed)
    modules: dict[str, nn.Module] = {"model": nn.Linear(3, 2), "objective": nn.Linear(2, 1)}
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    for _ in range(2):
        _step(modules, optimizer)
    return modules, optimizer


def _step(modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    modules["objective"](modules["model"](torch.randn(4, 3))).square().sum().backward()
    optimizer.step()


def _weights(modules: dict[str, nn.Module]) -> list[torch.Tensor]:
    return [tensor.clone() for module in modules.values() for tensor in module.state_dict().values()]


class TestCheckpoint:
    def test_training_goes_on_as_if_nothing_had_happened(self, tmp_path: Path) -> None:
        modules, optimizer = _trained(1)
        save_checkpoint(tmp_path, PROGRESS, modules, optimizer)
        _step(modules, optimizer)

        others, other_optimizer = _trained(2)
        torch.randn(100)
        found = load_checkpoint(tmp_path, others, other_optimizer)
        _step(others, other_optimizer)

        assert found == PROGRESS
        # Weights, moments and the random batch of the step are all the same.
        assert all(torch.equal(one, other) for one, other in zip(_weights(modules), _weights(others), strict=True))

    def test_other_data_or_another_model_cannot_be_gone_on_with(self, tmp_path: Path) -> None:
        modules, optimizer = _trained(1)
        save_checkpoint(tmp_path, PROGRESS, modules, optimizer)
        with pytest.raises(ModelError, match="its data or its relation encoder are not those that it"):
            load_checkpoint(tmp_path, modules, optimizer, data="other")
        with pytest.raises(ModelError, match=r"checkpoint\.safetensors: is damaged, or of another configuration"):
            load_checkpoint(tmp_path, {name: torch.nn.Linear(9, 9) for name in modules}, optimizer)
        path = tmp_path / "checkpoint.safetensors"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ModelError, match=r"checkpoint\.safetensors: is damaged"):
            load_checkpoint(tmp_path, modules, optimizer)

    def test_one_that_may_not_be_read_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*arguments: object, **options: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        save_checkpoint(tmp_path, PROGRESS, *_trained(1))
        monkeypatch.setattr(checkpoint, "safe_open", refuse)
        with pytest.raises(ModelError, match=r"checkpoint\.safetensors: cannot be read: Permission denied; check the"):
            load_checkpoint(tmp_path, *_trained(1))

    def test_a_run_that_was_never_saved_has_none(self, tmp_path: Path) -> None:
        assert load_checkpoint(tmp_path, *_trained(1)) is None

    def test_is_gone_when_it_is_dropped(self, tmp_path: Path) -> None:
        save_checkpoint(tmp_path, PROGRESS, *_trained(1))
        drop_checkpoint(tmp_path)
        drop_checkpoint(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_an_interruption_while_saving_leaves_the_last_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        modules, optimizer = _trained(1)
        save_checkpoint(tmp_path, PROGRESS, modules, optimizer)

        def cut_short(tensors: object, path: str, metadata: object) -> None:
            Path(path).write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(checkpoint, "save_file", cut_short)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, Progress(1, 4, 14, 0.25, 0), modules, optimizer)
        assert load_checkpoint(tmp_path, modules, optimizer) == PROGRESS

    @pytest.mark.parametrize(
        "error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")]
    )
    def test_a_full_disk_is_told_and_leaves_what_was_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        modules, optimizer = _trained(1)
        save_checkpoint(tmp_path, PROGRESS, modules, optimizer)

        def full(tensors: object, path: str, metadata: object) -> None:
            Path(path).write_bytes(b"half")
            raise error

        monkeypatch.setattr(checkpoint, "save_file", full)
        with pytest.raises(OutputError) as caught:
            save_checkpoint(tmp_path, Progress(1, 4, 14, 0.25, 0), modules, optimizer)
        assert str(caught.value) == (
            f"{tmp_path / 'checkpoint.safetensors'}: cannot be written: No space left on device; make room, then go on "
            "with --resume, or start again"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
        assert load_checkpoint(tmp_path, modules, optimizer) == PROGRESS


class TestMetrics:
    def test_lines_after_the_checkpoint_are_dropped(self, tmp_path: Path) -> None:
        lines = [json.dumps({"step": step, "total": 1.0}) for step in (5, 10, 15)]
        (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        cut_metrics(tmp_path, 10)
        assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines() == lines[:2]

    def test_a_line_that_the_interruption_cut_short_is_dropped(self, tmp_path: Path) -> None:
        (tmp_path / "metrics.jsonl").write_text('{"step": 5}\n{"step": 6, "tot', encoding="utf-8")
        cut_metrics(tmp_path, 10)
        assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == '{"step": 5}\n'

    def test_there_may_be_none_yet(self, tmp_path: Path) -> None:
        cut_metrics(tmp_path, 0)
        assert list(tmp_path.iterdir()) == []


class TestReadRun:
    def test_gives_configuration_and_facts(self, run: Path) -> None:
        config, facts = read_run(run)
        assert config.name == "shared"
        assert facts.seen_relations == ("author", "born", "crosses", "founder")
        assert facts.finished and is_finished(run)

    def test_names_a_folder_that_is_no_run(self, tmp_path: Path) -> None:
        for read in (read_run, read_run_config):
            with pytest.raises(ModelError, match=r"not a run directory of zsre-train: it holds no config\.yaml"):
                read(tmp_path)
        assert not is_finished(tmp_path)

    @pytest.mark.parametrize("name", ["run.json", "model.safetensors"])
    def test_says_how_to_go_on_with_a_run_without_an_epoch(self, run: Path, name: str) -> None:
        (run / name).unlink()
        with pytest.raises(ModelError, match=f"no epoch has finished yet: zsre-train --resume {run}"):
            read_run(run)

    @pytest.mark.parametrize("name", ["config.yaml", "run.json"])
    def test_names_a_file_that_may_not_be_read(self, name: str, run: Path, refused: Callable[[Path], None]) -> None:
        refused(run / name)
        with pytest.raises(ZsreError, match=f"run/{name}: cannot be read: Permission denied"):
            read_run(run)

    @pytest.mark.parametrize("text", ["{", "{}", '{"seen_relations": [], "seen_data": [], "pairs": {}, "other": 1}'])
    def test_names_facts_that_are_damaged(self, run: Path, text: str) -> None:
        (run / "run.json").write_text(text, encoding="utf-8")
        with pytest.raises(ModelError, match=r"run\.json: damaged: "):
            read_run(run)

    def test_names_a_configuration_that_was_edited_wrongly(self, run: Path) -> None:
        path = run / "config.yaml"
        path.write_text(path.read_text(encoding="utf-8") + "sede: 3\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"config\.yaml: unknown field 'sede': did you mean 'seed'"):
            read_run(run)


class TestCalibration:
    def test_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        assert read_calibration(tmp_path) is None
        calibration = Calibration(12.5, -7.25, 0.6, "these figures")
        write_calibration(tmp_path, calibration)
        assert read_calibration(tmp_path) == calibration

    @pytest.mark.parametrize("text", ["", "[1]", '{"slop": 3}'])
    def test_names_one_that_is_damaged(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "calibration.json").write_text(text, encoding="utf-8")
        with pytest.raises(ModelError, match=r"calibration\.json: damaged: "):
            read_calibration(tmp_path)

    def test_names_one_that_is_no_text_or_may_not_be_read(
        self, tmp_path: Path, refused: Callable[[Path], None]
    ) -> None:
        path = tmp_path / "calibration.json"
        path.write_bytes(b"\xff")
        with pytest.raises(ModelError, match=r"calibration\.json: damaged: 'utf-8' codec can't decode"):
            read_calibration(tmp_path)
        refused(path)
        with pytest.raises(ModelError, match=r"calibration\.json: cannot be read: Permission denied; check the path"):
            read_calibration(tmp_path)


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text(encoding="utf-8") == "old"
