"""The run directory: what a run leaves behind, and what it needs to go on after an interruption.

``config.yaml``, ``data.sha256``, ``run.json`` (relations and data sets seen), ``model.safetensors`` (best epoch),
``tokenizer.json``, ``tokens.json``, ``encoder/config.json``, ``metrics.jsonl``, ``loss.png``, ``speed.json``;
``adapter.safetensors`` with an adapter; ``calibration.sha256``, ``calibration.json`` and ``folds/`` with a
calibration; while it runs also ``checkpoint.safetensors``. ``.lock`` is what a process holds that trains there.
Everything is written to a temporary name first and then renamed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zsre.relations.contract import Calibration
from zsre.relations.errors import ModelError, OutputError
from zsre.relations.places import looked_at
from zsre.relations.private_files import replacing
from zsre.trainer.config import TrainConfig, read_config

WEIGHTS, TOKENIZER, CONFIG, FACTS = "model.safetensors", "tokenizer.json", "config.yaml", "run.json"
METRICS, CHECKPOINT, CALIBRATION = "metrics.jsonl", "checkpoint.safetensors", "calibration.json"
#: Apart from the metrics, which an interruption doesn't change.
SPEED = "speed.json"
PROGRESS_KEY = "progress"


@dataclass(frozen=True)
class RunFacts:
    """What a run has seen and how far it came; ``seen_relations`` are in the classifier's order.

    ``relation_encoder`` is the digest of its weights; runs of earlier versions have none.
    """

    seen_relations: tuple[str, ...]
    seen_data: tuple[str, ...]
    pairs: dict[str, int]
    level_slope: float = 0.0
    level: float = 0.0
    best_epoch: int = 0
    best_f1: float = 0.0
    finished: bool = False
    relation_encoder: str = ""
    zsre_version: str = ""
    torch_version: str = ""


@dataclass(frozen=True)
class Progress:
    """Where a run stands: ``step`` counts over the whole run, ``batch`` within ``epoch``.

    ``data`` is the digest of what it is trained on.
    """

    epoch: int
    batch: int
    step: int
    best_f1: float
    best_epoch: int
    data: str = ""


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with _reporting(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path) -> str | None:
    """Read a file of a run; return None if it is missing, raise ModelError if it may not be read or is damaged."""
    try:
        with looked_at(path, ModelError):
            return path.read_text(encoding="utf-8") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: damaged: {error}") from error


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors whole or not at all; safetensors, never pickle."""
    contiguous = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    with _reporting(path), replacing(path) as temporary:
        save_file(contiguous, str(temporary), metadata)


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(
            f"{path}: cannot be written: {reason}; make room, then go on with --resume, or start again"
        ) from error


def write_facts(directory: Path, facts: RunFacts) -> None:
    """Write ``run.json``."""
    write_text(directory / FACTS, json.dumps(asdict(facts), indent=2) + "\n")


def is_started(directory: Path) -> bool:
    """Tell whether a directory holds a run, however far it came; raise ModelError if it may not be looked into."""
    return _is_there(directory / CONFIG)


def read_run(directory: Path) -> tuple[TrainConfig, RunFacts]:
    """Read a run directory's configuration and facts; raise ModelError if it is not one or has no model yet."""
    config = read_run_config(directory)
    text = read_text(directory / FACTS)
    if text is None or not _is_there(directory / WEIGHTS):
        raise ModelError(f"{directory}: no epoch has finished yet: zsre-train --resume {directory}")
    try:
        fields = json.loads(text)
        facts = RunFacts(
            **{**fields, "seen_relations": tuple(fields["seen_relations"]), "seen_data": tuple(fields["seen_data"])}
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{directory / FACTS}: damaged: {error}") from error
    return config, facts


def is_finished(directory: Path) -> bool:
    """Tell whether a run was trained to its end."""
    return _is_there(directory / FACTS) and read_run(directory)[1].finished


def is_calibrated(directory: Path) -> bool:
    """Tell whether a run has its calibration."""
    return _is_there(directory / CALIBRATION)


def write_calibration(directory: Path, calibration: Calibration) -> None:
    """Write ``calibration.json``, which the export carries."""
    write_text(directory / CALIBRATION, json.dumps(asdict(calibration), indent=2) + "\n")


def read_calibration(directory: Path) -> Calibration | None:
    """Read a run's calibration; return None for a run that has none."""
    path = directory / CALIBRATION
    text = read_text(path)
    if text is None:
        return None
    try:
        return Calibration(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path}: damaged: {error}") from error


def read_run_config(directory: Path) -> TrainConfig:
    """Read the configuration that a run was started with."""
    if not is_started(directory):
        raise ModelError(f"{directory}: not a run directory of zsre-train: it holds no {CONFIG}")
    return read_config(directory / CONFIG)


def _is_there(path: Path) -> bool:
    with looked_at(path, ModelError):
        return path.is_file()


def save_checkpoint(
    directory: Path,
    progress: Progress,
    modules: Mapping[str, torch.nn.Module],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Save all that training depends on: weights, optimizer moments, random states, position."""
    tensors: dict[str, Tensor] = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    for prefix, module in modules.items():
        tensors |= {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    # One file, position included: whatever interrupts a run, a whole checkpoint is there.
    save_tensors(directory / CHECKPOINT, tensors, {PROGRESS_KEY: json.dumps(asdict(progress))})


def load_checkpoint(
    directory: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer, data: str = ""
) -> Progress | None:
    """Restore what `save_checkpoint` saved, in place; return None if the run was never saved.

    Raises ModelError for a checkpoint that is damaged, or of a run that read other ``data``.
    """
    path = directory / CHECKPOINT
    if not _is_there(path):
        return None
    try:
        with looked_at(path, ModelError), safe_open(str(path), framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()[PROGRESS_KEY]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _check_data(directory, progress, data)
        for prefix, module in modules.items():
            start = prefix + "."
            module.load_state_dict(
                {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
            )
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: is damaged, or of another configuration than config.yaml's; train anew") from error
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            state.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["rng.cpu"])
    if "rng.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    return progress


def _check_data(directory: Path, progress: Progress, data: str) -> None:
    if progress.data != data:
        raise ModelError(
            f"{directory}: its data or its relation encoder are not those that it began with; put these back, or train "
            "anew"
        )


def drop_checkpoint(directory: Path) -> None:
    """Remove what only an unfinished run needs; a finished one still has it if it was killed at the very end."""
    (directory / CHECKPOINT).unlink(missing_ok=True)


def cut_metrics(directory: Path, step: int) -> None:
    """Drop the metrics that an interrupted run wrote after its last checkpoint."""
    path = directory / METRICS
    text = read_text(path)
    if text is not None:
        write_text(path, "".join(line + "\n" for line in text.splitlines() if _step(line) <= step))


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf  # the interruption cut the line short
