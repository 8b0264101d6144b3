from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from zsre.relations.errors import ModelError
from zsre.trainer import relation_adapter, trained_run
from zsre.trainer.config import TrainConfig
from zsre.trainer.setup import prepare
from zsre.trainer.trained_run import load_run


@pytest.fixture
def run(tiny_runs: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_runs("shared"), tmp_path / "run"))


@pytest.mark.parametrize("pairing", ["marked", "shared"])
def test_loading_gives_the_model_that_was_trained(
    pairing: str, tiny_runs: Callable[[str], Path], tiny_config: Callable[..., TrainConfig]
) -> None:
    run = load_run(tiny_runs(pairing))
    assert run.tokens.pairing == run.config.model.pairing == pairing
    assert run.facts.finished and not run.model.training
    untrained = prepare(tiny_config(model={"pairing": pairing}), torch.device("cpu")).model
    assert not torch.equal(run.model.context.weight, untrained.context.weight)


def test_loading_is_of_full_precision_whatever_its_configuration_names(run: Path) -> None:
    path = run / "encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": "float16"}), encoding="utf-8")
    assert {parameter.dtype for parameter in load_run(run).model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["tokenizer.json", "tokens.json", "encoder/config.json"])
def test_loading_names_a_file_that_is_missing(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(ModelError, match=f"{name} missing; a run is its whole folder, so copy all of it"):
        load_run(run)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokens.json"])
def test_loading_names_a_file_that_may_not_be_read_or_is_no_text(
    name: str, run: Path, refused: Callable[[Path], None]
) -> None:
    (run / name).write_bytes(b"\xff")
    with pytest.raises(ModelError, match=f"run/{name}: damaged: 'utf-8' codec can't decode"):
        load_run(run)
    refused(run / name)
    with pytest.raises(ModelError, match=f"run/{name}: cannot be read: Permission denied; check the path"):
        load_run(run)


@pytest.mark.parametrize(("module", "name"), [(trained_run, "model"), (relation_adapter, "adapter")])
def test_loading_names_weights_that_may_not_be_read(
    module: ModuleType, name: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(module, "load_file", refuse)
    with pytest.raises(
        ModelError, match=rf"run/{name}\.safetensors: cannot be read: Permission denied; check the path"
    ):
        load_run(run)


def test_loading_notices_weights_that_were_cut_short(run: Path) -> None:
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"model\.safetensors: damaged .*copy it again"):
        load_run(run)


def test_loading_notices_token_settings_that_are_damaged(run: Path) -> None:
    (run / "tokens.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokens\.json: damaged"):
        load_run(run)


def test_loading_notices_weights_of_another_model(run: Path) -> None:
    config = run / "config.yaml"
    fields = yaml.safe_load(config.read_text("utf-8"))
    config.write_text(yaml.safe_dump(fields | {"model": {"distiller": "none"}}), "utf-8")
    with pytest.raises(ModelError, match=r"model\.safetensors: damaged"):
        load_run(run)


def test_a_run_is_loaded_with_the_relation_encoder_that_it_was_trained_with(
    run: Path,
) -> None:
    loaded = load_run(run)
    digest = loaded.facts.relation_encoder
    assert len(digest) == 32 and loaded.relation_encoder().width == 32
    path = run / "run.json"
    facts = path.read_text("utf-8")
    path.write_text(facts.replace(digest, "0" * 32), "utf-8")
    with pytest.raises(ModelError, match=r"its weights are not those that .*run was trained with; put back the former"):
        load_run(run).relation_encoder()
    # Runs of earlier versions say nothing of it.
    path.write_text(facts.replace(digest, ""), "utf-8")
    assert load_run(run).relation_encoder().width == 32
