"""Tokens that an encoder has never met: they learn though its embeddings be frozen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.training import CPU, OPTIM, Config, InterruptionError, assert_same_weights, log_often, start
from zsre.trainer.config import OptimConfig, TrainConfig
from zsre.trainer.loop import Status, fit, make_optimizer
from zsre.trainer.setup import Setup, prepare


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    log_often(monkeypatch)


@pytest.fixture
def config(tiny_config: Config, tiny_encoder: Path, tmp_path: Path) -> Config:
    """Configurations with an encoder whose vocabulary reserves no tokens, so that markers are added to it."""
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "unreserved"))
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("[unused", "taken"), encoding="utf-8")

    def make(pairing: str, **optim: object) -> TrainConfig:
        # A decay that would show in any row that it reached.
        return tiny_config(
            encoder=str(folder),
            model={"pairing": pairing},
            optim=OPTIM | {"epochs": 1, "weight_decay": 0.5} | optim,
        )

    return make


def _table(setup: Setup) -> torch.Tensor:
    weight = setup.model.encoder.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight


def test_added_markers_learn_while_the_other_embeddings_stay_to_the_bit(config: Config, tmp_path: Path) -> None:
    setup = prepare(config("marked"), CPU)
    before = {name: tensor.clone() for name, tensor in setup.model.state_dict().items()}
    fit(setup, start(setup.config, tmp_path / "run"), lambda status: None)

    after = load_file(tmp_path / "run" / "model.safetensors")
    word = "encoder.embeddings.word_embeddings.weight"
    moved = (after[word] != before[word]).any(-1)
    assert moved.nonzero().flatten().tolist() == sorted(setup.untaught) == list(range(len(moved) - 4, len(moved)))
    assert torch.equal(after[word][~moved].view(torch.int32), before[word][~moved].view(torch.int32))
    for name, tensor in before.items():
        if name.startswith("encoder.embeddings.") and name != word:
            assert torch.equal(after[name], tensor), name


@pytest.mark.usefixtures("often")
def test_added_markers_learn_on_after_an_interruption(config: Config, tmp_path: Path) -> None:
    def interrupt(status: Status) -> None:
        if status.step == 6:
            raise InterruptionError

    for name in ("straight", "interrupted"):
        directory = start(config("marked"), tmp_path / name)
        if name == "interrupted":
            with pytest.raises(InterruptionError):
                fit(prepare(config("marked"), CPU), directory, interrupt)
        fit(prepare(config("marked"), CPU), directory, lambda status: None)
    assert_same_weights(*(load_file(tmp_path / name / "model.safetensors") for name in ("straight", "interrupted")))


def test_added_markers_learn_at_the_rate_of_new_layers_without_decay(config: Config) -> None:
    setup = prepare(config("marked"), CPU)
    optim = OptimConfig(learning_rate=1e-4, new_layers_factor=20, weight_decay=0.5)
    *_, added = make_optimizer(setup, optim).param_groups
    assert len(added["params"]) == 1 and added["params"][0] is _table(setup)
    assert (added["lr"], added["weight_decay"]) == (pytest.approx(2e-3), 0.0)


def test_added_markers_are_embeddings_like_others_where_those_learn_too(config: Config) -> None:
    setup = prepare(config("marked"), CPU)
    groups = make_optimizer(setup, OptimConfig(frozen_embeddings=False)).param_groups
    assert len(groups) == 3
    _table(setup).sum().backward()
    assert bool((_table(setup).grad == 1).all())


def test_added_markers_stay_where_nothing_is_marked(config: Config) -> None:
    setup = prepare(config("shared"), CPU)
    assert len(make_optimizer(setup, OptimConfig()).param_groups) == 3
    assert not _table(setup).requires_grad
