from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.trainer.training import (
    CPU,
    OPTIM,
    STEPS,
    Config,
    InterruptionError,
    assert_same_weights,
    log_often,
    short_config,
    start,
)
from zsre.relations.errors import ConfigError, ModelError
from zsre.trainer import loop
from zsre.trainer.batches import Batch
from zsre.trainer.checkpoint import read_run
from zsre.trainer.config import AdapterConfig, TrainConfig, parse_config
from zsre.trainer.loop import Status, fit
from zsre.trainer.setup import prepare
from zsre.trainer.validate import encode_pairs


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    log_often(monkeypatch)


@pytest.fixture(scope="module")
def config(tiny_config: Config, tiny_data: Path) -> TrainConfig:
    return short_config(tiny_config, tiny_data)


@pytest.fixture(scope="module")
def straight(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Status]]]:
    """A run that nothing interrupted, and what it showed."""
    shown: list[Status] = []
    with pytest.MonkeyPatch.context() as patch:
        log_often(patch)
        directory = start(config, tmp_path_factory.mktemp("straight") / "run")
        fit(prepare(config, CPU), directory, shown.append)
    yield directory, shown


def _metrics(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.usefixtures("often")
def test_training_learns(tiny_config: Config, tmp_path: Path) -> None:
    """The templates of the tiny data are easy to tell apart, and training does: its pairs are classified as stated."""
    optim = OPTIM | {"epochs": 4, "learning_rate": 4e-3}
    config = tiny_config(optim=optim, ranking={"negatives": "softmax", "scope": "seen"}, contrast={"weight": 0})
    setup = prepare(config, CPU)
    table = setup.mean_table.numpy()
    stated = setup.pairs.stated.argmax(-1)

    def accuracy() -> float:
        vectors = encode_pairs(setup.model, setup.tokenizer, setup.tokens, setup.pairs.sentences)
        return float((vectors.similarities(table).sum(-1).argmax(-1) == stated[vectors.kept]).mean())

    before = accuracy()
    directory = start(config, tmp_path / "run")
    fit(setup, directory, lambda status: None)

    ranking = [line["ranking"] for line in _metrics(directory) if "ranking" in line]
    assert before < 0.6
    assert accuracy() > 0.95
    assert sum(ranking[-5:]) < 0.5 * sum(ranking[:5])


def test_an_encoder_that_is_stored_in_half_precision_trains_to_the_end(
    tiny_config: Config, half_encoder: Path, tmp_path: Path
) -> None:
    config = tiny_config(encoder=str(half_encoder), optim=OPTIM)
    directory = start(config, tmp_path / "run")
    fit(prepare(config, CPU), directory, lambda status: None)
    assert read_run(directory)[1].finished
    assert {tensor.dtype for tensor in load_file(str(directory / "model.safetensors")).values()} == {torch.float32}


def test_every_step_is_logged_and_shown(straight: tuple[Path, list[Status]]) -> None:
    directory, shown = straight
    steps = [(line["step"], line["epoch"]) for line in _metrics(directory) if "total" in line]
    assert steps == [(step, 0 if step <= 8 else 1) for step in range(2, STEPS + 1, 2)]
    assert [(status.step, status.epoch) for status in shown] == steps
    assert {status.steps for status in shown} == {STEPS}
    assert all(status.examples_per_second > 0 for status in shown)
    assert set(shown[0].losses) == {"total", "ranking", "contrast", "reverse", "level"}
    validations = [(line["step"], line["epoch"]) for line in _metrics(directory) if "validation_f1" in line]
    assert validations == [(8, 0), (16, 1)]


def test_what_a_finished_run_leaves_behind(straight: tuple[Path, list[Status]]) -> None:
    directory, _ = straight
    assert {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()} == {
        "config.yaml", "data.sha256", "run.json", "model.safetensors", "tokenizer.json", "tokens.json",
        "encoder/config.json", "metrics.jsonl", "loss.png", "speed.json",
    }  # fmt: skip
    assert json.loads((directory / "speed.json").read_text(encoding="utf-8"))["examples_per_second"] > 0
    facts = read_run(directory)[1]
    assert facts.finished and facts.seen_relations == ("author", "born", "crosses", "founder")
    # 16 pairs of each relation and, wrong way round, as many again.
    assert facts.pairs == {"labelled": 128}


def test_the_losses_are_drawn(straight: tuple[Path, list[Status]]) -> None:
    image = (straight[0] / "loss.png").read_bytes()
    assert image.startswith(b"\x89PNG\r\n\x1a\n") and len(image) > 5000


@pytest.mark.usefixtures("often")
def test_a_loss_that_is_no_number_ends_the_run(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, optim=replace(config.optim, learning_rate=1e20))
    directory = start(config, tmp_path / "run")
    with pytest.raises(
        ConfigError, match=r"run: the loss is (nan|inf) at step \d+ of 16: train anew with a lower optim"
    ):
        fit(prepare(config, CPU), directory, lambda status: None)
    assert not (directory / "run.json").exists() or not read_run(directory)[1].finished


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("step", [2, 6, 8, 14, 16])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    step: int, config: TrainConfig, straight: tuple[Path, list[Status]], tmp_path: Path
) -> None:
    """Step 2 is before the first checkpoint, 6 and 14 lie within an epoch, 8 and 16 end one without validation."""

    def interrupt(status: Status) -> None:
        if status.step == step:
            raise InterruptionError

    directory = start(config, tmp_path / "run")
    with pytest.raises(InterruptionError):
        fit(prepare(config, CPU), directory, interrupt)
    assert _metrics(directory)[-1]["step"] == step

    resumed: list[Status] = []
    torch.manual_seed(99)
    fit(prepare(config, CPU), directory, resumed.append)

    assert resumed[0].step == (step - 1) // 4 * 4 + 2
    assert_same_weights(load_file(directory / "model.safetensors"), load_file(straight[0] / "model.safetensors"))
    for name in ("metrics.jsonl", "run.json"):
        assert (directory / name).read_text(encoding="utf-8") == (straight[0] / name).read_text(encoding="utf-8")
    assert not (directory / "checkpoint.safetensors").exists()


def _interrupted(config: TrainConfig, directory: Path) -> Path:
    """Begin a run and stop it after its first checkpoint."""

    def interrupt(status: Status) -> None:
        if status.step == 6:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        fit(prepare(config, CPU), start(config, directory), interrupt)
    return directory


@pytest.mark.usefixtures("often")
def test_a_run_is_not_gone_on_with_by_other_texts_and_keeps_its_files(
    config: TrainConfig, tiny_data: Path, tmp_path: Path
) -> None:
    texts = Path(shutil.copy(tiny_data / "relations.yaml", tmp_path / "relations.yaml"))
    adapted = replace(config.texts, sources=(str(texts),), adapter=AdapterConfig())
    config = replace(config, texts=adapted)
    directory = _interrupted(config, tmp_path / "run")
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}

    texts.write_text(texts.read_text(encoding="utf-8").replace("terms: [river]", "terms: [city]"), encoding="utf-8")
    with pytest.raises(ModelError, match="run: its data or relation texts are not those that it, or the run whose"):
        fit(prepare(config, CPU), directory, lambda status: None)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("often")
def test_a_refused_checkpoint_leaves_the_run_as_it_was(config: TrainConfig, tmp_path: Path) -> None:
    directory = _interrupted(config, tmp_path / "run")
    (directory / "tokens.json").write_text("as it was", encoding="utf-8")
    checkpoint = directory / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(ModelError, match="is damaged"):
        fit(prepare(config, CPU), directory, lambda status: None)
    assert (directory / "tokens.json").read_text(encoding="utf-8") == "as it was"


@pytest.mark.usefixtures("often")
def test_a_run_that_does_not_say_what_it_read_is_gone_on_with(
    config: TrainConfig, straight: tuple[Path, list[Status]], tmp_path: Path
) -> None:
    directory = _interrupted(config, tmp_path / "run")
    (directory / "data.sha256").unlink()
    fit(prepare(config, CPU), directory, lambda status: None)
    for name in ("model.safetensors", "data.sha256"):
        assert (directory / name).read_bytes() == (straight[0] / name).read_bytes()


@pytest.mark.usefixtures("often")
def test_an_interruption_between_two_lines_of_the_log(
    config: TrainConfig, straight: tuple[Path, list[Status]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = start(config, tmp_path / "run")
    make_batches = loop.batches

    def interrupted(*arguments: object) -> Iterator[Batch]:
        for number, batch in enumerate(make_batches(*arguments)):  # type: ignore[arg-type]
            if number == 7:
                raise InterruptionError
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(loop, "batches", interrupted)
        with pytest.raises(InterruptionError):
            fit(prepare(config, CPU), directory, lambda status: None)
    fit(prepare(config, CPU), directory, lambda status: None)

    assert_same_weights(load_file(directory / "model.safetensors"), load_file(straight[0] / "model.safetensors"))
    assert _metrics(directory) == _metrics(straight[0])


@pytest.mark.parametrize(("scores", "best"), [((0.3, 0.9, 0.9), 1), ((0.2, 0.1, 0.4), 2), ((0.0, 0.0, 0.0), 0)])
def test_the_best_epoch_on_validation_relations_is_kept(
    scores: tuple[float, ...], best: int, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"path": config.data[0].path, "per_relation": 2}
    plain = config.to_dict() | {"data": [short], "optim": OPTIM | {"epochs": len(scores)}}
    setup = prepare(_parsed(plain), CPU)
    seen: list[tuple[dict[str, torch.Tensor], float]] = []

    def scripted(model: nn.Module, *rest: object) -> SimpleNamespace:
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        seen.append((state, setup.objective.level.item()))
        return SimpleNamespace(paper_f1=scores[len(seen) - 1], relations={})

    monkeypatch.setattr(loop, "validate", scripted)
    directory = start(setup.config, tmp_path / "run")
    fit(setup, directory, lambda status: None)

    facts = read_run(directory)[1]
    assert (facts.best_epoch, facts.best_f1) == (best, scores[best])
    assert_same_weights(load_file(directory / "model.safetensors"), seen[best][0])
    # The level that an export takes over belongs to the same epoch.
    assert facts.level == seen[best][1] and len({level for _, level in seen}) == len(scores)


def test_without_validation_relations_the_last_epoch_is_kept(config: TrainConfig, tmp_path: Path) -> None:
    short = {"path": config.data[0].path, "per_relation": 2}
    setup = prepare(_parsed(config.to_dict() | {"data": [short], "eval": {}}), CPU)
    directory = start(setup.config, tmp_path / "run")
    fit(setup, directory, lambda status: None)
    assert_same_weights(load_file(directory / "model.safetensors"), setup.model.state_dict())
    assert read_run(directory)[1].best_epoch == 1
    assert not any("validation_f1" in line for line in _metrics(directory))


def test_a_seed_gives_the_same_weights_to_the_bit_and_another_seed_others(config: TrainConfig, tmp_path: Path) -> None:
    short = {"path": config.data[0].path, "per_relation": 4, "reversed": True}

    def trained(name: str, seed: int, disturbance: int) -> dict[str, torch.Tensor]:
        chosen = _parsed(config.to_dict() | {"data": [short], "seed": seed})
        _disturb(disturbance)
        setup = prepare(chosen, CPU)
        _disturb(disturbance + 1)
        fit(setup, start(chosen, tmp_path / name), lambda status: None)
        return load_file(tmp_path / name / "model.safetensors")

    first, again, other = trained("first", 13, 1), trained("again", 13, 3), trained("other", 14, 1)

    assert_same_weights(first, again)
    differing = {name for name in first if not torch.equal(first[name], other[name])}
    assert differing >= {"context.weight", "projection.query", "encoder.encoder.layer.0.attention.self.query.weight"}


def _disturb(seed: int) -> None:
    """Leave every generator of the process elsewhere than it was."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _parsed(plain: dict[str, object]) -> TrainConfig:
    return parse_config(plain, "test")
