"""The training loop: optimizer, schedule, epochs, validation, and going on after an interruption."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from zsre.relations.errors import ConfigError, OutputError
from zsre.trainer.batches import batches, one_ahead, plan_epoch
from zsre.trainer.beginning import check_reading, write_reading
from zsre.trainer.checkpoint import (
    METRICS,
    SPEED,
    WEIGHTS,
    Progress,
    cut_metrics,
    drop_checkpoint,
    load_checkpoint,
    read_run,
    save_checkpoint,
    save_tensors,
    write_facts,
    write_text,
)
from zsre.trainer.config import OptimConfig
from zsre.trainer.model import SentenceModel
from zsre.trainer.objective import LossParts, Objective
from zsre.trainer.plot import plot_losses
from zsre.trainer.setup import Setup, write_encoder_files
from zsre.trainer.validate import validate

logger = logging.getLogger(__name__)
LOG_EVERY = 20
#: A multiple of LOG_EVERY, so that a run that goes on averages its losses over the same steps.
SAVE_EVERY = 200


@dataclass(frozen=True)
class Status:
    """What a progress display shows after a step."""

    epoch: int
    step: int
    steps: int
    losses: dict[str, float]
    examples_per_second: float


def wants_bf16(precision: str, device: torch.device) -> bool:
    """Tell whether the encoder trains in bf16: on CUDA, and on processors that multiply bf16 in hardware."""
    if precision == "auto":
        return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return precision == "bf16"


def make_optimizer(setup: Setup, config: OptimConfig) -> torch.optim.AdamW:
    """Group parameters by learning rate; frozen ones get no gradient at all.

    Tokens that the encoder has never met are new, and learn as the new layers do, though their table be frozen.
    """
    encoder = setup.model.encoder
    freeze(encoder, config)
    inside = {id(parameter) for parameter in encoder.parameters()}
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    new = [parameter for parameter in setup.model.parameters() if id(parameter) not in inside]
    new_rate = config.learning_rate * config.new_layers_factor
    groups = [
        {"params": trained, "lr": config.learning_rate},
        {"params": new, "lr": new_rate},
        {"params": list(setup.objective.parameters()), "lr": new_rate, "weight_decay": 0.0},
    ]
    table = encoder.get_input_embeddings().weight
    assert isinstance(table, nn.Parameter)
    if setup.untaught and not table.requires_grad:
        train_rows(table, setup.untaught)
        # Without a gradient, only weight decay could move the other rows.
        groups.append({"params": [table], "lr": new_rate, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)


def freeze(encoder: nn.Module, config: OptimConfig) -> None:
    """Stop the gradient of the embeddings and the first layers."""
    for name, parameter in encoder.named_parameters():
        layer = next((int(part) for part in name.split(".") if part.isdigit()), None)
        embedding = config.frozen_embeddings and name.startswith("embeddings.")
        if embedding or (layer is not None and layer < config.frozen_layers):
            parameter.requires_grad_(False)


def train_rows(table: nn.Parameter, rows: Sequence[int]) -> None:
    """Let only these rows of a table learn, by clearing the gradient of all others."""
    frozen = torch.ones(len(table), 1, dtype=torch.bool, device=table.device)
    frozen[list(rows)] = False
    table.requires_grad_(True)
    table.register_hook(lambda gradient: gradient.masked_fill(frozen, 0.0))  # type: ignore[no-untyped-call]


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the factor at a step: linear up over the warm-up share, then linear down to zero."""
    rising = max(1, round(steps * warmup))
    return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))


def fit(setup: Setup, directory: Path, show: Callable[[Status], None]) -> None:
    """Train to the end, from the last checkpoint if there is one.

    Leaves the best epoch's weights, by validation F1 (the last epoch's without validation relations), or their mean
    over steps where ``optim.averaged`` asks for it. Raises ModelError for a run that began with other data or texts.
    """
    check_reading(directory, setup.reading)
    optim = setup.config.optim
    optimizer = make_optimizer(setup, optim)
    base_rates = [group["lr"] for group in optimizer.param_groups]
    trained = nn.ModuleDict({"model": setup.model, "objective": setup.objective})
    averaged = AveragedModel(trained) if optim.averaged else None
    modules = dict(trained.items()) if averaged is None else {**trained, "averaged": averaged}
    torch.manual_seed(setup.config.seed)
    data = setup.data_digest()
    progress = load_checkpoint(directory, modules, optimizer, data) or Progress(0, 0, 0, -1.0, 0, data)
    # Nothing is written before it is sure that the run may go on.
    write_reading(directory, setup.reading)
    write_encoder_files(setup, directory)
    cut_metrics(directory, progress.step)
    lengths = [len(row.ids) for row in setup.rows]
    per_epoch = -(-len(lengths) // optim.batch_size)
    steps = per_epoch * optim.epochs
    meter = _Meter()
    for epoch in range(progress.epoch, optim.epochs):
        plan = plan_epoch(lengths, optim.batch_size, setup.config.seed, epoch)
        setup.model.train()
        setup.model.bf16_encoder = wants_bf16(optim.precision, setup.device)
        made = batches(setup.rows, setup.pairs, setup.tokens.pad_id, plan[progress.batch :])
        for batch in one_ahead(own.pinned() for own in made) if setup.device.type == "cuda" else made:
            factor = learning_rate_factor(progress.step, steps, optim.warmup)
            for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
                group["lr"] = rate * factor
            texts = setup.config.texts
            table = setup.mean_table if texts.phrasings == "mean" else setup.table.sample(texts)
            optimizer.zero_grad(set_to_none=True)
            losses = setup.objective(setup.model, batch.to(setup.device), table)
            losses.total.backward()
            nn.utils.clip_grad_norm_(setup.model.parameters(), optim.max_gradient_norm)
            optimizer.step()
            progress = replace(progress, batch=progress.batch + 1, step=progress.step + 1)
            if averaged is not None and progress.step > steps * (1 - optim.averaged):
                averaged.update_parameters(trained)
            meter.add(losses, len(batch.input_ids))
            if progress.step % LOG_EVERY == 0 or progress.batch == len(plan):
                status = meter.status(epoch, progress.step, steps)
                check_loss(directory, status, optim)
                log(directory, {"step": status.step, "epoch": epoch, **status.losses})
                show(status)
            if progress.step % SAVE_EVERY == 0 and progress.batch < len(plan):
                save_checkpoint(directory, progress, modules, optimizer)
        progress = finish_epoch(mean_of_steps(setup, averaged), directory, progress)
        save_checkpoint(directory, progress, modules, optimizer)
    if meter.rates:
        write_text(directory / SPEED, json.dumps({"examples_per_second": round(median(meter.rates), 1)}) + "\n")
    plot_losses(directory)
    # The level in the facts is the best epoch's, as the weights are.
    write_facts(directory, replace(read_run(directory)[1], finished=True))
    drop_checkpoint(directory)


def check_loss(directory: Path, status: Status, config: OptimConfig) -> None:
    """Raise ConfigError for a loss that is no number any more, as nothing comes of such a run."""
    if not math.isfinite(status.losses["total"]):
        raise ConfigError(
            f"{directory}: the loss is {status.losses['total']} at step {status.step} of {status.steps}: train anew "
            f"with a lower optim.learning_rate (it is {config.learning_rate:g}, and {config.new_layers_factor:g} times "
            "that for new layers)"
        )


def mean_of_steps(setup: Setup, averaged: AveragedModel | None) -> Setup:
    """Return the setup with the averaged weights in place of the last step's, once there are any."""
    if averaged is None or not averaged.n_averaged:
        return setup
    model, objective = averaged.module.get_submodule("model"), averaged.module.get_submodule("objective")
    assert isinstance(model, SentenceModel) and isinstance(objective, Objective)
    return replace(setup, model=model, objective=objective)


def finish_epoch(setup: Setup, directory: Path, progress: Progress) -> Progress:
    """Validate in full precision, keep the weights if they are the best so far, and step to the next epoch."""
    setup.model.bf16_encoder = False
    f1 = 0.0
    if setup.validation is not None:
        report = validate(
            setup.model, setup.tokenizer, setup.tokens, setup.validation.examples,
            setup.validation.relations, setup.validation.vectors,
        )  # fmt: skip
        f1 = report.paper_f1
        log(directory, {"step": progress.step, "epoch": progress.epoch, "validation_f1": f1})
        logger.info("epoch %d: F1 %.2f on %d validation relations", progress.epoch + 1, 100 * f1, len(report.relations))
    if setup.validation is None or f1 > progress.best_f1:
        progress = replace(progress, best_f1=f1, best_epoch=progress.epoch)
        save_tensors(directory / WEIGHTS, setup.model.state_dict())
        write_facts(directory, setup.facts(progress))
    plot_losses(directory)
    return replace(progress, epoch=progress.epoch + 1, batch=0)


def log(directory: Path, values: dict[str, float]) -> None:
    """Append one line to the run's metrics; raise OutputError if that fails."""
    path = directory / METRICS
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}; make room, then go on with --resume, or start again"
        ) from error


class _Meter:
    """Averages losses and counts examples between two lines of the log; reads the device only then."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self._reset()

    def _reset(self) -> None:
        self.parts: list[LossParts] = []
        self.examples = 0
        self.since = time.perf_counter()

    def add(self, losses: LossParts, examples: int) -> None:
        self.parts.append(losses)
        self.examples += examples

    def status(self, epoch: int, step: int, steps: int) -> Status:
        values = [parts.values() for parts in self.parts]
        means = {name: round(float(torch.stack([value[name] for value in values]).mean()), 6) for name in values[0]}
        rate = self.examples / max(1e-9, time.perf_counter() - self.since)
        self.rates.append(rate)
        self._reset()
        return Status(epoch, step, steps, means, rate)
