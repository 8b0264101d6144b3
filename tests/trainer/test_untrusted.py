"""What SECURITY.md promises of training: code that comes with an encoder is not run, configurations are plain YAML."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zsre.relations.errors import ConfigError, ModelError
from zsre.trainer.config import read_config
from zsre.trainer.encoders import load_sentence_encoder
from zsre.trainer.relation_table import RelationEncoder


class Payload:
    """What leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return Path.touch, (self.mark,)


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny encoder that a test may change."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_code_that_comes_with_an_encoder_is_not_run(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Left to itself, transformers would ask, and take this for an answer.
    monkeypatch.setattr("builtins.input", lambda *prompt: "y")
    (encoder / "own.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    change(encoder / "config.json", model_type="own", auto_map={"AutoConfig": "own.C", "AutoModel": "own.M"})
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_sentence_encoder(str(encoder), "shared", 32)
    with pytest.raises(ModelError, match="cannot be loaded"):
        RelationEncoder(str(encoder))
    assert not (tmp_path / "ran").exists()


def test_modules_that_an_encoder_names_are_not_imported(encoder: Path, tmp_path: Path) -> None:
    (encoder / "own.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    (encoder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "own.Module"}]))
    with pytest.raises(ModelError, match="cannot be loaded"):
        RelationEncoder(str(encoder))
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_a_pickle_are_only_read_as_tensors(encoder: Path, tmp_path: Path) -> None:
    (encoder / "model.safetensors").unlink()
    torch.save({"embeddings": Payload(tmp_path / "ran")}, encoder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_sentence_encoder(str(encoder), "shared", 32)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text, told",
    [
        ("data: !!python/object/apply:os.system ['true']", "only plain values are read"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
            f"a{n}: &a{n} [{', '.join(['*a' + str(n - 1 or '')] * 10)}]" for n in range(1, 12)
        ), "aliases expand to more than"),
        ("data: " + "[" * 10_000, "lists and mappings inside one another"),
        ("data: &all [*all]", "stands inside itself"),
    ],
    ids=["tags", "aliases", "nesting", "recursion"],
)  # fmt: skip
def test_configurations_that_harm(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        read_config(path)


def test_a_run_directory_with_code_of_its_own(tiny_runs: Callable[[str], Path], tmp_path: Path) -> None:
    from zsre.trainer.trained_run import load_run

    run = Path(shutil.copytree(tiny_runs("shared"), tmp_path / "run"))
    (run / "encoder" / "own.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    change(run / "encoder" / "config.json", model_type="own", auto_map={"AutoConfig": "own.C", "AutoModel": "own.M"})
    with pytest.raises(ModelError, match="encoder: cannot be loaded"):
        load_run(run)
    assert not (tmp_path / "ran").exists()
