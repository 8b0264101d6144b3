"""What tests of training share: a short run, its interruption, and the comparison of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from zsre.trainer import loop
from zsre.trainer.beginning import start_run
from zsre.trainer.config import TrainConfig

CPU = torch.device("cpu")
#: Two epochs of 8 steps, with all that draws random numbers: dropout, views, phrasings, neutral ends.
OPTIM = {"epochs": 2, "batch_size": 8, "learning_rate": 2e-3, "new_layers_factor": 1, "precision": "fp32"}
STEPS = 16
Config = Callable[..., TrainConfig]


class InterruptionError(Exception):
    pass


def short_config(tiny_config: Config, tiny_data: Path) -> TrainConfig:
    """Return the configuration of a run of `STEPS` steps, which takes a second."""
    return tiny_config(
        split=None,
        eval={"relations": ["home", "singer"], "per_relation": 10},
        data=[{"path": str(tiny_data / "labelled.jsonl"), "per_relation": 16, "reversed": True}],
        texts={"sources": [str(tiny_data / "relations.yaml")], "phrasings": "sample", "drop_terms": 0.3},
        optim=OPTIM,
    )


def log_often(patch: pytest.MonkeyPatch) -> None:
    """Log every second step and save every fourth."""
    patch.setattr(loop, "LOG_EVERY", 2)
    patch.setattr(loop, "SAVE_EVERY", 4)


def start(config: TrainConfig, directory: Path) -> Path:
    start_run(directory, config)
    return directory


def assert_same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
