"""From a cell to its configuration, and to the commands that train and measure it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from experiments.plan import CHOICE_PAIRS, FOLDS, Cell
from zsre.relations.catalogue import is_catalogue
from zsre.trainer.config import TrainConfig, find_data, read_configs

CONFIGS: Final = Path(__file__).resolve().parents[1] / "configs"


def config_files(profile: str, experiment: str, dataset: str) -> list[Path]:
    """Return a recipe's files, later ones on top: the profile, the experiment, and what each has for the data set."""
    named = (("profiles", profile), ("experiments", experiment))
    files = [CONFIGS / folder / f"{name}{end}.yaml" for folder, name in named for end in ("", f"-{dataset}")]
    return [path for path in files if path.exists() or not path.stem.endswith(f"-{dataset}")]


def settings(cell: Cell) -> list[str]:
    """Return what is set on top of a cell's files."""
    # The folds that settings are chosen on are this project's own.
    folder = "configs" if cell.partition in FOLDS else cell.dataset
    own = [f"name={cell.name}", f"split={folder}/splits/{cell.split}.json", f"seed={cell.seed}"]
    return own + ([cell.setting] if cell.setting else [])


def recipe(cell: Cell) -> TrainConfig:
    """Return the whole configuration of a cell."""
    return read_configs(config_files(cell.profile, cell.experiment, cell.dataset), settings(cell))


def train_command(cell: Cell, directory: Path, resume: bool) -> list[str]:
    """Return the command that trains a cell, or goes on with its training."""
    command = [sys.executable, "-m", "zsre.trainer.cli"]
    if resume:
        return [*command, "--resume", str(directory)]
    command += [str(path) for path in config_files(cell.profile, cell.experiment, cell.dataset)]
    for setting in settings(cell):
        command += ["--set", setting]
    return [*command, "--output", str(directory)]


def eval_command(cell: Cell, config: TrainConfig, directory: Path, log: Path) -> list[str]:
    """Return the command that measures a trained cell, with the first of the relation texts that it was trained with.

    Sentences of further sources are left out, which the split knows nothing of.
    """
    source, *further = config.data
    texts = config.texts.sources[0]
    assert config.split is not None
    flags = {
        "--data": find_data(source.path),
        "--relations": texts if is_catalogue(texts) else find_data(texts),
        "--split": find_data(config.split),
        "--part": cell.part,
        "--log": log,
    }
    command = [sys.executable, "-m", "zsre.runner.eval_cli", str(directory), "--per-class"]
    command += [str(word) for flag in flags.items() for word in flag]
    if cell.partition in FOLDS:
        command += ["--per-relation", str(CHOICE_PAIRS)]
    for other in further:
        command += ["--training-data", str(find_data(other.path))]
    return command
