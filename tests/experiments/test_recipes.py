"""Configurations of the experiments, and the commands that run them."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from experiments.plan import DATASETS, FOLDS, PROFILES, UNSEEN, Cell, plan
from experiments.recipes import CONFIGS, config_files, eval_command, recipe, train_command
from zsre.runner import eval_cli
from zsre.trainer import cli as train_cli
from zsre.trainer.config import DataConfig, TrainConfig, read_configs

#: The fields in which each experiment may differ from SDZRE of its profile.
ABOUT = {
    "sdzre": set(),
    "re_matching": {
        "model.entity_pooling", "model.distiller", "model.reverse_attention", "contrast.weight", "ranking.negatives",
        "ranking.scope",
    },
    "without_contrast": {"contrast.weight"},
    "without_distiller": {"model.distiller"},
    "random_negatives": {"ranking.negatives", "ranking.scope"},
    "hard_negatives": {"ranking.negatives", "ranking.scope"},
    "ranked_negatives": {"ranking.negatives", "ranking.scope"},
    "augment_dropout_mask": {"contrast.views"},
    "augment_dropout_cutoff": {"contrast.views"},
    "projection_only": {"model.distiller"},
    "selector_only": {"model.distiller"},
    "published_texts": {"texts.sources"},
    "paper_parts": {"model.pairing", "ranking.negatives", "ranking.scope", "texts.sources", "optim.frozen_embeddings"},
    "two_epochs": {"optim.epochs"},
    "three_epochs": {"optim.epochs"},
    "more_examples": {"data"},
    "more_relations": {"data", "beyond_split"},
    "sampled_texts": {"texts.sources", "texts.phrasings"},
    "ranked_seen": {"ranking.negatives"},
    "softmax_batch": {"ranking.scope"},
    "sharp_softmax": {"ranking.temperature"},
    "soft_softmax": {"ranking.temperature"},
    "far_negatives": {"data"},
    "reversed_pairs": {"data"},
    "level": {"level.weight"},
    "pair_softmax": {"ranking.pair_weight"},
    "interaction": {"model.interaction"},
    "fast_encoder": {"optim.learning_rate", "optim.new_layers_factor"},
    "faster_encoder": {"optim.learning_rate", "optim.new_layers_factor"},
    "one_rate": {"optim.new_layers_factor"},
    "frozen_layers": {"optim.frozen_layers"},
    "trained_embeddings": {"optim.frozen_embeddings"},
    "value_gaussian": {"model.gaussian"},
    "attended_only": {"model.distiller", "model.reverse_attention"},
    "contrast_positive": {"contrast.same_relation"},
    "contrast_ignore": {"contrast.same_relation"},
    "contrast_states": {"contrast.augmented"},
    "contrast_warm": {"contrast.temperature"},
    "marked": {"model.pairing"},
    "max_pooling": {"model.entity_pooling"},
    "heavy_entities": {"model.alpha"},
    "small_batch": {"optim.batch_size"},
    "averaged_weights": {"optim.averaged"},
    "whole_more_relations": {"data", "beyond_split"},
    "own_negatives": {"data", "beyond_split"},
    "lessons": {"data", "beyond_split", "texts.sources"},
    "what_helped": {"data", "beyond_split", "model.alpha"},
    "mpnet": {"encoder"},
}  # fmt: skip
#: What they set there, in any profile.
SET = {
    "re_matching": {
        "model.entity_pooling": "max", "model.distiller": "projection", "model.reverse_attention": False,
        "contrast.weight": 0,
        "ranking.negatives": "random", "ranking.scope": "batch",
    },
    "without_contrast": {"contrast.weight": 0},
    "without_distiller": {"model.distiller": "none"},
    "random_negatives": {"ranking.negatives": "random", "ranking.scope": "batch"},
    "hard_negatives": {"ranking.negatives": "hard", "ranking.scope": "batch"},
    "ranked_negatives": {
        "ranking.negatives": "ranked", "ranking.scope": "batch", "ranking.hard_margin": 0.06,
        "ranking.semi_hard_margin": 0,
    },
    "augment_dropout_mask": {"contrast.views": ("dropout", "mask")},
    "augment_dropout_cutoff": {"contrast.views": ("dropout", "cutoff")},
    "projection_only": {"model.distiller": "projection"},
    "selector_only": {"model.distiller": "gaussian"},
    "paper_parts": {
        "model.pairing": "marked", "ranking.negatives": "ranked", "ranking.scope": "batch",
        "optim.frozen_embeddings": False,
    },
}  # fmt: skip
EVERYWHERE = pytest.mark.parametrize(
    ("profile", "dataset"), [(profile, dataset) for profile in PROFILES for dataset in DATASETS]
)


def _fields(config: TrainConfig) -> dict[str, Any]:
    """Return every field by its name, that of its group before it; the name of the configuration aside."""
    flat: dict[str, Any] = {}
    for name, value in config.to_dict().items():
        flat |= {f"{name}.{inner}": held for inner, held in value.items()} if isinstance(value, dict) else {name: value}
    del flat["name"]
    return flat


def _recipe(profile: str, experiment: str, dataset: str) -> dict[str, Any]:
    return _fields(read_configs(config_files(profile, experiment, dataset)))


COMPARED = pytest.mark.parametrize(
    ("profile", "dataset", "experiment"),
    sorted({(cell.profile, cell.dataset, cell.experiment) for profile in PROFILES for cell in plan(profile)}),
)


@COMPARED
def test_an_experiment_differs_from_sdzre_in_what_it_is_about_and_in_nothing_else(
    profile: str, dataset: str, experiment: str
) -> None:
    found, plain = _recipe(profile, experiment, dataset), _recipe(profile, "sdzre", dataset)
    changed = {name for name in found if found[name] != plain[name]}
    assert changed <= ABOUT[experiment]
    assert {name: found[name] for name in SET.get(experiment, {})} == SET.get(experiment, {})
    # What an experiment of a profile does not change, another experiment of that profile is.
    assert bool(changed) == (experiment != "sdzre")


def test_an_experiment_that_differs_in_its_data_has_the_data_of_the_profile_but_for_that() -> None:
    plain = {"path": "fewrel/fewrel.json.gz", "per_relation": 150}
    sources = {
        "more_examples": [plain | {"per_relation": 300}],
        "more_relations": [plain, {"path": "wikizsl/wikizsl.jsonl.gz", "per_relation": 75}],
        "own_negatives": [
            plain | {"foreign_negatives": False},
            {"path": "wikizsl/wikizsl.jsonl.gz", "per_relation": 75, "foreign_negatives": False},
        ],
        "lessons": [
            plain | {"foreign_negatives": False},
            {"path": "lessons/sentences.jsonl", "foreign_negatives": False},
        ],
        "what_helped": [
            plain | {"per_relation": 300, "foreign_negatives": False},
            {"path": "wikizsl/wikizsl.jsonl.gz", "per_relation": 150, "foreign_negatives": False},
        ],
        "far_negatives": [plain | {"near_negatives": False}],
        "reversed_pairs": [plain | {"reversed": True}],
    }
    assert _recipe("cpu", "sdzre", "fewrel")["data"] == (asdict(DataConfig(**plain)),)
    for experiment, expected in sources.items():
        assert _recipe("cpu", experiment, "fewrel")["data"] == tuple(
            asdict(DataConfig(**fields)) for fields in expected
        )


def test_every_file_is_an_experiment_of_some_profile() -> None:
    stems = {path.stem for path in (CONFIGS / "experiments").glob("*.yaml")}
    assert stems - {f"{name}-{dataset}" for name in ABOUT for dataset in DATASETS} == ABOUT.keys()
    assert {cell.experiment for profile in PROFILES for cell in plan(profile)} == ABOUT.keys()
    assert {path.stem for path in (CONFIGS / "profiles").glob("*.yaml")} == {
        f"{profile}{end}" for profile in PROFILES for end in ("", "-wikizsl")
    }


@EVERYWHERE
def test_a_data_set_comes_with_its_own_data_split_and_published_texts(profile: str, dataset: str) -> None:
    config = recipe(Cell(profile, "sdzre", dataset, 15, "41"))
    texts = recipe(Cell(profile, "published_texts", dataset, 15, "41")).texts.sources
    assert [source.path.split("/")[0] for source in config.data] == [dataset]
    assert config.split == f"{dataset}/splits/15_41.json" and texts == (f"{dataset}/relations.json",)
    assert config.texts.sources == (texts if profile == "paper" else ("wikidata",))


def test_the_paper_has_settings_of_its_own_for_wiki_zsl() -> None:
    """Section 4.4."""
    fewrel, wikizsl = (recipe(Cell("paper", "sdzre", dataset, 5, "40")) for dataset in DATASETS)
    assert (fewrel.optim.batch_size, fewrel.contrast.cutoff) == (32, 0.2)
    assert (wikizsl.optim.batch_size, wikizsl.contrast.cutoff) == (128, 0.1)


def test_the_profile_for_cpus_is_small() -> None:
    for dataset in DATASETS:
        config = recipe(Cell("cpu", "sdzre", dataset, 5, "40"))
        assert [source.per_relation for source in config.data] == [150]
        assert (config.optim.epochs, config.model.pairing) == (1, "shared") and "minilm" in config.encoder


def test_a_cell_says_what_its_files_leave_open() -> None:
    cell = Cell("cpu", "sdzre", "fewrel", 10, "42", 15, "eval", "contrast.mask=0.3")
    config = recipe(cell)
    assert (config.name, config.split, config.seed) == (cell.name, "fewrel/splits/10_42.json", 15)
    assert config.contrast.mask == 0.3


@pytest.mark.parametrize("profile", PROFILES)
def test_the_commands_train_each_cell_by_its_recipe(profile: str) -> None:
    for cell in plan(profile)[::5]:
        directory = Path("runs") / cell.name
        command = train_command(cell, directory, resume=False)
        arguments = train_cli.parser().parse_intermixed_args(command[3:])
        assert train_cli.choose_run(arguments) == (recipe(cell), directory)
        resumed = train_cli.parser().parse_intermixed_args(train_command(cell, directory, resume=True)[3:])
        assert resumed.resume == directory


@pytest.fixture
def data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that holds empty files of the right names."""
    monkeypatch.setenv("ZSRE_DATA", str(tmp_path))
    for name in ("fewrel/fewrel.json.gz", "wikizsl/wikizsl.jsonl.gz"):
        folder = (tmp_path / name).parent
        (folder / "splits").mkdir(parents=True)
        splits = (f"splits/{m}_{partition}.json" for m in UNSEEN for partition in DATASETS[folder.name].partitions)
        for path in (tmp_path / name, folder / "relations.json", *(folder / split for split in splits)):
            path.touch()
    return tmp_path


@pytest.mark.parametrize("profile", PROFILES)
def test_the_commands_measure_each_cell_on_its_part_and_in_its_log(profile: str, data_sets: Path) -> None:
    """From the project's folder, where the splits of the folds are."""
    for cell in plan(profile):
        config = recipe(cell)
        command = eval_command(cell, config, Path("runs") / cell.name, Path("some.jsonl"))
        arguments = eval_cli.parser().parse_args(command[3:])
        eval_cli.check_flags(arguments)
        assert arguments.model == Path("runs") / cell.name and arguments.per_class
        assert arguments.per_relation == (300 if cell.partition in FOLDS else None)
        assert arguments.part == cell.part and arguments.log == Path("some.jsonl")
        own = Path("configs") if cell.partition in FOLDS else data_sets / cell.dataset
        assert arguments.split == own / "splits" / f"{cell.split}.json"
        # Lessons come with the project.
        further = [Path(other.path) for other in config.data[1:]]
        found = [path if path.parts[0] == "lessons" else data_sets / path for path in further]
        assert arguments.training_data == (found or None)
        assert arguments.data == data_sets / config.data[0].path
        assert arguments.relations.removeprefix(f"{data_sets}{os.sep}") == config.texts.sources[0]
        assert (arguments.part == "test") == (not cell.setting and not cell.name.endswith("-eval"))


def test_texts_whose_name_begins_like_the_catalogue_s_are_looked_for_in_the_data_folder(data_sets: Path) -> None:
    (data_sets / "wikidata-own.yaml").touch()
    cell = next(cell for cell in plan("cpu") if cell.partition not in FOLDS)
    config = recipe(cell)
    config = replace(config, texts=replace(config.texts, sources=("wikidata-own.yaml",)))
    command = eval_command(cell, config, Path("runs") / cell.name, Path("some.jsonl"))
    assert command[command.index("--relations") + 1] == str(data_sets / "wikidata-own.yaml")
