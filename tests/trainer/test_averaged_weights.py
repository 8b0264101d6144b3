"""The mean of the weights over the last steps, in place of the last step's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.trainer.training import (
    CPU,
    STEPS,
    Config,
    InterruptionError,
    assert_same_weights,
    log_often,
    short_config,
    start,
)
from zsre.trainer import loop
from zsre.trainer.config import OptimConfig, TrainConfig
from zsre.trainer.loop import Status, fit
from zsre.trainer.setup import Setup, prepare


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    log_often(monkeypatch)


@pytest.fixture
def config(tiny_config: Config, tiny_data: Path) -> TrainConfig:
    """The mean over the last 6 of 16 steps, so that the first epoch ends without one."""
    config = short_config(tiny_config, tiny_data)
    return replace(config, optim=replace(config.optim, averaged=0.375))


def _watched(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Return the list that the weights after each step will be put into."""
    seen: list[dict[str, torch.Tensor]] = []
    make = loop.make_optimizer

    def watched(setup: Setup, config: OptimConfig) -> torch.optim.AdamW:
        optimizer = make(setup, config)
        optimizer.register_step_post_hook(
            lambda *_: seen.append({name: tensor.clone() for name, tensor in setup.model.state_dict().items()})
        )
        return optimizer

    monkeypatch.setattr(loop, "make_optimizer", watched)
    return seen


def test_averaged_weights_are_the_mean_over_the_last_steps_and_what_is_validated_and_kept(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = prepare(config, CPU)
    steps = _watched(setup, monkeypatch)
    validated: list[dict[str, torch.Tensor]] = []

    def scripted(model: nn.Module, *rest: object) -> SimpleNamespace:
        validated.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return SimpleNamespace(paper_f1=0.1 * len(validated), relations={})

    monkeypatch.setattr(loop, "validate", scripted)
    directory = start(config, tmp_path / "run")
    fit(setup, directory, lambda status: None)

    assert len(steps) == STEPS
    assert_same_weights(validated[0], steps[7])
    kept = load_file(directory / "model.safetensors")
    assert_same_weights(kept, validated[1])
    for name, tensor in kept.items():
        mean = torch.stack([weights[name] for weights in steps[-6:]]).mean(0)
        torch.testing.assert_close(tensor, mean, atol=1e-6, rtol=1e-5)
    assert not torch.equal(kept["context.weight"], steps[-1]["context.weight"])
    assert not torch.equal(setup.model.context.weight, kept["context.weight"])


@pytest.mark.usefixtures("often")
def test_averaged_weights_are_gone_on_with_after_an_interruption(config: TrainConfig, tmp_path: Path) -> None:
    def interrupt(status: Status) -> None:
        if status.step == 14:
            raise InterruptionError

    straight = start(config, tmp_path / "straight")
    fit(prepare(config, CPU), straight, lambda status: None)
    directory = start(config, tmp_path / "run")
    with pytest.raises(InterruptionError):
        fit(prepare(config, CPU), directory, interrupt)
    fit(prepare(config, CPU), directory, lambda status: None)
    assert_same_weights(load_file(directory / "model.safetensors"), load_file(straight / "model.safetensors"))
    assert (directory / "run.json").read_text(encoding="utf-8") == (straight / "run.json").read_text(encoding="utf-8")
