from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from zsre.trainer.config import OptimConfig, TrainConfig
from zsre.trainer.loop import freeze, learning_rate_factor, make_optimizer, wants_bf16
from zsre.trainer.setup import Setup, prepare

CPU = torch.device("cpu")
Config = Callable[..., TrainConfig]


class TestOptimizer:
    @pytest.fixture
    def setup(self, tiny_config: Config) -> Setup:
        return prepare(tiny_config(), CPU)

    def test_new_layers_learn_faster(self, setup: Setup) -> None:
        config = OptimConfig(learning_rate=1e-4, new_layers_factor=20, frozen_embeddings=False)
        encoder, new, objective = make_optimizer(setup, config).param_groups
        assert [group["lr"] for group in (encoder, new, objective)] == pytest.approx([1e-4, 2e-3, 2e-3])
        assert [group["weight_decay"] for group in (encoder, new, objective)] == [0.01, 0.01, 0.0]
        grouped = [id(parameter) for group in (encoder, new, objective) for parameter in group["params"]]
        everything = [*setup.model.parameters(), *setup.objective.parameters()]
        assert sorted(grouped) == sorted(id(parameter) for parameter in everything)
        assert len(encoder["params"]) == len(list(setup.model.encoder.parameters()))

    @pytest.mark.parametrize("layers", [0, 1, 2])
    @pytest.mark.parametrize("embeddings", [True, False])
    def test_frozen_parts_get_no_gradient(self, setup: Setup, layers: int, embeddings: bool) -> None:
        freeze(setup.model.encoder, OptimConfig(frozen_layers=layers, frozen_embeddings=embeddings))
        for name, parameter in setup.model.encoder.named_parameters():
            below = any(name.startswith(f"encoder.layer.{layer}.") for layer in range(layers))
            frozen = below or (embeddings and name.startswith("embeddings."))
            assert parameter.requires_grad is not frozen, name

    def test_frozen_parts_are_as_they_were_after_training(self, tiny_runs: Callable[[str], Path], setup: Setup) -> None:
        """The tiny run freezes its embeddings, which is the default."""
        trained = load_file(tiny_runs("shared") / "model.safetensors")
        before = setup.model.state_dict()
        word, query = "embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight"
        assert torch.equal(trained[f"encoder.{word}"], before[f"encoder.{word}"])
        assert not torch.equal(trained[f"encoder.{query}"], before[f"encoder.{query}"])


class TestSchedule:
    def test_rises_over_the_warm_up_and_falls_to_zero(self) -> None:
        factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
        assert factors[:10] == pytest.approx([step / 10 for step in range(1, 11)])
        assert factors[10:] == pytest.approx([(100 - step) / 90 for step in range(10, 100)])
        assert learning_rate_factor(100, 100, 0.1) == 0

    @pytest.mark.parametrize("warmup", [0.0, 1.0])
    @pytest.mark.parametrize("steps", [1, 2, 7])
    def test_is_a_share_whatever_the_warm_up(self, warmup: float, steps: int) -> None:
        factors = [learning_rate_factor(step, steps, warmup) for step in range(steps)]
        assert all(0 < factor <= 1 and math.isfinite(factor) for factor in factors)
        assert max(factors) == 1


def test_bf16_is_for_hardware_that_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    for supported in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda supported=supported: supported)
        assert wants_bf16("auto", CPU) is supported
        assert wants_bf16("auto", cuda)
    assert wants_bf16("bf16", CPU) and not wants_bf16("fp32", cuda)
