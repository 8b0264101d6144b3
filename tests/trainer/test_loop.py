from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from zsre.relations.errors import ConfigError, ModelError
from zsre.trainer import loop
from zsre.trainer.batches import Batch
from zsre.trainer.checkpoint import read_run, start_run
from zsre.trainer.config import AdapterConfig, OptimConfig, TrainConfig, parse_config
from zsre.trainer.loop import Status, fit, make_optimizer
from zsre.trainer.setup import Setup, prepare
from zsre.trainer.validate import encode_pairs

CPU = torch.device("cpu")
#: Two epochs of 8 steps, with all that draws random numbers: dropout, views, phrasings, neutral ends.
OPTIM = {"epochs": 2, "batch_size": 8, "learning_rate": 2e-3, "new_layers_factor": 1, "precision": "fp32"}
STEPS = 16
Config = Callable[..., TrainConfig]


class InterruptionError(Exception):
    pass


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log every second step and save every fourth."""
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    monkeypatch.setattr(loop, "SAVE_EVERY", 4)


@pytest.fixture(scope="module")
def config(tiny_config: Config, tiny_data: Path) -> TrainConfig:
    return tiny_config(
        split=None,
        eval={"relations": ["home", "singer"], "per_relation": 10},
        data=[{"path": str(tiny_data / "labelled.jsonl"), "per_relation": 16, "reversed": True}],
        texts={"sources": [str(tiny_data / "relations.yaml")], "phrasings": "sample", "drop_terms": 0.3},
        optim=OPTIM,
    )


@pytest.fixture(scope="module")
def straight(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Status]]]:
    """A run that nothing interrupted, and what it showed."""
    shown: list[Status] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "LOG_EVERY", 2)
        patch.setattr(loop, "SAVE_EVERY", 4)
        directory = _start(config, tmp_path_factory.mktemp("straight") / "run")
        fit(prepare(config, CPU), directory, shown.append)
    yield directory, shown


def _start(config: TrainConfig, directory: Path) -> Path:
    start_run(directory, config)
    return directory


def _metrics(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def _assert_same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


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
    directory = _start(config, tmp_path / "run")
    fit(setup, directory, lambda status: None)

    ranking = [line["ranking"] for line in _metrics(directory) if "ranking" in line]
    assert before < 0.6
    assert accuracy() > 0.95
    assert sum(ranking[-5:]) < 0.5 * sum(ranking[:5])


def test_an_encoder_that_is_stored_in_half_precision_trains_to_the_end(
    tiny_config: Config, half_encoder: Path, tmp_path: Path
) -> None:
    config = tiny_config(encoder=str(half_encoder), optim=OPTIM)
    directory = _start(config, tmp_path / "run")
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
    directory = _start(config, tmp_path / "run")
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

    directory = _start(config, tmp_path / "run")
    with pytest.raises(InterruptionError):
        fit(prepare(config, CPU), directory, interrupt)
    assert _metrics(directory)[-1]["step"] == step

    resumed: list[Status] = []
    torch.manual_seed(99)
    fit(prepare(config, CPU), directory, resumed.append)

    assert resumed[0].step == (step - 1) // 4 * 4 + 2
    _assert_same_weights(load_file(directory / "model.safetensors"), load_file(straight[0] / "model.safetensors"))
    for name in ("metrics.jsonl", "run.json"):
        assert (directory / name).read_text(encoding="utf-8") == (straight[0] / name).read_text(encoding="utf-8")
    assert not (directory / "checkpoint.safetensors").exists()


def _interrupted(config: TrainConfig, directory: Path) -> Path:
    """Begin a run and stop it after its first checkpoint."""

    def interrupt(status: Status) -> None:
        if status.step == 6:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        fit(prepare(config, CPU), _start(config, directory), interrupt)
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
    directory = _start(config, tmp_path / "run")
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

    _assert_same_weights(load_file(directory / "model.safetensors"), load_file(straight[0] / "model.safetensors"))
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
    directory = _start(setup.config, tmp_path / "run")
    fit(setup, directory, lambda status: None)

    facts = read_run(directory)[1]
    assert (facts.best_epoch, facts.best_f1) == (best, scores[best])
    _assert_same_weights(load_file(directory / "model.safetensors"), seen[best][0])
    # The level that an export takes over belongs to the same epoch.
    assert facts.level == seen[best][1] and len({level for _, level in seen}) == len(scores)


def test_without_validation_relations_the_last_epoch_is_kept(config: TrainConfig, tmp_path: Path) -> None:
    short = {"path": config.data[0].path, "per_relation": 2}
    setup = prepare(_parsed(config.to_dict() | {"data": [short], "eval": {}}), CPU)
    directory = _start(setup.config, tmp_path / "run")
    fit(setup, directory, lambda status: None)
    _assert_same_weights(load_file(directory / "model.safetensors"), setup.model.state_dict())
    assert read_run(directory)[1].best_epoch == 1
    assert not any("validation_f1" in line for line in _metrics(directory))


class TestAveragedWeights:
    @pytest.fixture
    def config(self, config: TrainConfig) -> TrainConfig:
        """The mean over the last 6 of 16 steps, so that the first epoch ends without one."""
        return replace(config, optim=replace(config.optim, averaged=0.375))

    @staticmethod
    def _watched(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
        """Return the list that the weights after each step will be put into."""
        seen: list[dict[str, torch.Tensor]] = []
        make = loop.make_optimizer

        def watched(setup: Setup, config: OptimConfig) -> torch.optim.AdamW:
            optimizer = make(setup, config)
            optimizer.register_step_post_hook(
                lambda *_: seen.append({name: tensor.clone() for name, tensor in setup.model.state_dict().items()})
            )
            return optimizer

        monkeypatch.setattr(loop, "make_optimizer", watched)
        return seen

    def test_are_the_mean_over_the_last_steps_and_what_is_validated_and_kept(
        self, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup = prepare(config, CPU)
        steps = self._watched(setup, monkeypatch)
        validated: list[dict[str, torch.Tensor]] = []

        def scripted(model: nn.Module, *rest: object) -> SimpleNamespace:
            validated.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            return SimpleNamespace(paper_f1=0.1 * len(validated), relations={})

        monkeypatch.setattr(loop, "validate", scripted)
        directory = _start(config, tmp_path / "run")
        fit(setup, directory, lambda status: None)

        assert len(steps) == STEPS
        _assert_same_weights(validated[0], steps[7])
        kept = load_file(directory / "model.safetensors")
        _assert_same_weights(kept, validated[1])
        for name, tensor in kept.items():
            mean = torch.stack([weights[name] for weights in steps[-6:]]).mean(0)
            torch.testing.assert_close(tensor, mean, atol=1e-6, rtol=1e-5)
        assert not torch.equal(kept["context.weight"], steps[-1]["context.weight"])
        assert not torch.equal(setup.model.context.weight, kept["context.weight"])

    @pytest.mark.usefixtures("often")
    def test_are_gone_on_with_after_an_interruption(self, config: TrainConfig, tmp_path: Path) -> None:
        def interrupt(status: Status) -> None:
            if status.step == 14:
                raise InterruptionError

        straight = _start(config, tmp_path / "straight")
        fit(prepare(config, CPU), straight, lambda status: None)
        directory = _start(config, tmp_path / "run")
        with pytest.raises(InterruptionError):
            fit(prepare(config, CPU), directory, interrupt)
        fit(prepare(config, CPU), directory, lambda status: None)
        _assert_same_weights(load_file(directory / "model.safetensors"), load_file(straight / "model.safetensors"))
        assert (directory / "run.json").read_text(encoding="utf-8") == (straight / "run.json").read_text(
            encoding="utf-8"
        )


def test_a_seed_gives_the_same_weights_to_the_bit_and_another_seed_others(config: TrainConfig, tmp_path: Path) -> None:
    short = {"path": config.data[0].path, "per_relation": 4, "reversed": True}

    def trained(name: str, seed: int, disturbance: int) -> dict[str, torch.Tensor]:
        chosen = _parsed(config.to_dict() | {"data": [short], "seed": seed})
        _disturb(disturbance)
        setup = prepare(chosen, CPU)
        _disturb(disturbance + 1)
        fit(setup, _start(chosen, tmp_path / name), lambda status: None)
        return load_file(tmp_path / name / "model.safetensors")

    first, again, other = trained("first", 13, 1), trained("again", 13, 3), trained("other", 14, 1)

    _assert_same_weights(first, again)
    differing = {name for name in first if not torch.equal(first[name], other[name])}
    assert differing >= {"context.weight", "projection.query", "encoder.encoder.layer.0.attention.self.query.weight"}


def _disturb(seed: int) -> None:
    """Leave every generator of the process elsewhere than it was."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _parsed(plain: dict[str, object]) -> TrainConfig:
    return parse_config(plain, "test")


class TestAddedMarkers:
    @pytest.fixture
    def config(self, tiny_config: Config, tiny_encoder: Path, tmp_path: Path) -> Config:
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

    @staticmethod
    def _table(setup: Setup) -> torch.Tensor:
        weight = setup.model.encoder.get_input_embeddings().weight
        assert isinstance(weight, torch.Tensor)
        return weight

    def test_learn_while_the_other_embeddings_stay_to_the_bit(self, config: Config, tmp_path: Path) -> None:
        setup = prepare(config("marked"), CPU)
        before = {name: tensor.clone() for name, tensor in setup.model.state_dict().items()}
        fit(setup, _start(setup.config, tmp_path / "run"), lambda status: None)

        after = load_file(tmp_path / "run" / "model.safetensors")
        word = "encoder.embeddings.word_embeddings.weight"
        moved = (after[word] != before[word]).any(-1)
        assert moved.nonzero().flatten().tolist() == sorted(setup.untaught) == list(range(len(moved) - 4, len(moved)))
        assert torch.equal(after[word][~moved].view(torch.int32), before[word][~moved].view(torch.int32))
        for name, tensor in before.items():
            if name.startswith("encoder.embeddings.") and name != word:
                assert torch.equal(after[name], tensor), name

    @pytest.mark.usefixtures("often")
    def test_learn_on_after_an_interruption(self, config: Config, tmp_path: Path) -> None:
        def interrupt(status: Status) -> None:
            if status.step == 6:
                raise InterruptionError

        for name in ("straight", "interrupted"):
            directory = _start(config("marked"), tmp_path / name)
            if name == "interrupted":
                with pytest.raises(InterruptionError):
                    fit(prepare(config("marked"), CPU), directory, interrupt)
            fit(prepare(config("marked"), CPU), directory, lambda status: None)
        _assert_same_weights(
            *(load_file(tmp_path / name / "model.safetensors") for name in ("straight", "interrupted"))
        )

    def test_learn_at_the_rate_of_new_layers_without_decay(self, config: Config) -> None:
        setup = prepare(config("marked"), CPU)
        optim = OptimConfig(learning_rate=1e-4, new_layers_factor=20, weight_decay=0.5)
        *_, added = make_optimizer(setup, optim).param_groups
        assert len(added["params"]) == 1 and added["params"][0] is self._table(setup)
        assert (added["lr"], added["weight_decay"]) == (pytest.approx(2e-3), 0.0)

    def test_are_embeddings_like_others_where_those_learn_too(self, config: Config) -> None:
        setup = prepare(config("marked"), CPU)
        groups = make_optimizer(setup, OptimConfig(frozen_embeddings=False)).param_groups
        assert len(groups) == 3
        self._table(setup).sum().backward()
        assert bool((self._table(setup).grad == 1).all())

    def test_stay_where_nothing_is_marked(self, config: Config) -> None:
        setup = prepare(config("shared"), CPU)
        assert len(make_optimizer(setup, OptimConfig()).param_groups) == 3
        assert not self._table(setup).requires_grad
