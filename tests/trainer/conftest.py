"""What several tests of training need."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from zsre.trainer.config import TrainConfig


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a configuration into a file."""

    def write(text: str) -> Path:
        path = tmp_path / "train.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in, and logging set up by the command as if pytest had not done so before."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(logging, "basicConfig", partial(logging.basicConfig, force=True))
    yield tmp_path
    root.handlers, root.level = [], level


@pytest.fixture
def configured(tiny_config: Callable[..., TrainConfig], place: Path) -> Callable[..., str]:
    """Return a function that writes the tiny configuration, with other fields, where the command looks for it."""

    def write(name: str = "zsre-train.yaml", **fields: object) -> str:
        (place / name).write_text(yaml.safe_dump(tiny_config(**fields).to_dict()), encoding="utf-8")
        return name

    return write
