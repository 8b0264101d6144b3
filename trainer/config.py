"""The training configuration: YAML, of one file or several, checked whole before anything is loaded."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from zsre.relations.errors import ConfigError
from zsre.relations.places import looked_at
from zsre.relations.problems import SHOWN_PROBLEMS, cut
from zsre.trainer.config_layers import ConfigLayers
from zsre.trainer.config_yaml import read_mapping
from zsre.trainer.fields import (
    NOT_EMPTY,
    STRICT,
    UNKNOWN_FIELD,
    Count,
    FormatName,
    NonNegative,
    Number,
    Positive,
    PositiveFloat,
    Problem,
    Seed,
    Share,
    Whole,
    expectation,
)
from zsre.trainer.losses import ContrastConfig, RankingConfig
from zsre.trainer.model import ModelConfig


@dataclass(frozen=True)
class DataConfig:
    """One source of labelled sentences and how much of it to use.

    ``per_relation`` caps the stating pairs of each relation (one that also states a rarer relation may come on top),
    ``unrelated`` the pairs that state nothing
    (negatives); ``pairs_per_sentence`` caps both within a sentence. ``reversed`` adds each stated
    pair the wrong way round, as a negative for its own relation. ``leave_out`` names relations of this source that
    are not worth training on. Without ``near_negatives``, a pair is no negative for relations close in meaning to its
    own (`zsre.relations.equivalents`), which may hold as well though one label is all that it has. Without
    ``foreign_negatives``, a pair that states something is no negative for relations that no other pair of its source
    states: by those a model learns to tell sources apart, and not relations.
    """

    __pydantic_config__ = STRICT
    path: str
    format: FormatName | None = None
    per_relation: Positive | None = None
    unrelated: Count = 0
    pairs_per_sentence: Positive = 8
    reversed: bool = False
    leave_out: tuple[str, ...] = ()
    near_negatives: bool = True
    foreign_negatives: bool = True


@dataclass(frozen=True)
class LevelConfig:
    """The loss that teaches the model to say nothing; weight 0 (as in the paper) leaves it out."""

    __pydantic_config__ = STRICT
    weight: NonNegative = 0.0
    top_k: Positive = 3
    slope: PositiveFloat = 15.0
    level: Number = 0.5


@dataclass(frozen=True)
class OptimConfig:
    """How the weights move.

    ``learning_rate`` is the encoder's; the new layers learn ``new_layers_factor`` times as fast. The
    embeddings and the first ``frozen_layers`` layers of the encoder stay as they are. What is
    kept of an epoch is the mean of the weights since the last ``averaged`` share of all steps began; before that, and
    with 0, the weights of its last step.
    """

    __pydantic_config__ = STRICT
    epochs: Positive = 1
    batch_size: Positive = 32
    learning_rate: PositiveFloat = 2e-5
    new_layers_factor: PositiveFloat = 20.0
    weight_decay: NonNegative = 0.01
    warmup: Share = 0.1
    frozen_layers: Count = 0
    frozen_embeddings: bool = True
    max_gradient_norm: PositiveFloat = 1.0
    averaged: Share = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"


@dataclass(frozen=True)
class AdapterConfig:
    """How relation vectors of any wording are taken to where the model looks (`zsre.trainer.relation_adapter`).

    The smaller ``ridge``, the closer the known wordings come; the smaller ``width``, the more alike others must be to
    be taken along.
    """

    __pydantic_config__ = STRICT
    ridge: PositiveFloat = 0.03
    width: PositiveFloat = 0.15


@dataclass(frozen=True)
class TextConfig:
    """Where relation texts come from and how several phrasings are used.

    ``sources`` are relations files, ``wikidata`` or a published ``relations.json``; a relation takes a
    phrasing from each source that has it, twice from one that is named twice. Training draws one at each step
    (``sample``), draws each end's and the description's (``mix``), or uses their mean. So that nobody's wording is a
    surprise, ``drop_terms`` is the share of draws in which ends go without their terms, half of them without types,
    too, and ``noise`` is the length of a random vector that is added to each text's vector, which has the length 1;
    with ``mean``, where nothing is drawn, neither may be set. ``adapter`` takes vectors of any wording to the first
    source's, or to the mean where that is what training uses; without it, they stay as they are.
    """

    __pydantic_config__ = STRICT
    sources: Annotated[tuple[str, ...], NOT_EMPTY] = ("wikidata",)
    phrasings: Literal["sample", "mix", "mean"] = "mean"
    drop_terms: Share = 0.0
    noise: NonNegative = 0.0
    adapter: AdapterConfig | None = None


@dataclass(frozen=True)
class EvalConfig:
    """Validation on relations that are not trained on; the best epoch is picked by their paper-metric F1."""

    __pydantic_config__ = STRICT
    per_relation: Positive = 100
    relations: tuple[str, ...] = ()


@dataclass(frozen=True)
class CalibrationConfig:
    """Cross-fitting (see `zsre.trainer.folds`): densely annotated ``data``, in ``folds`` of relations.

    Of ``data``, all pairs count that somebody decided on, so only path and format may be given.
    ``threshold`` is the score from which on the model writes triples when nobody says otherwise.
    """

    __pydantic_config__ = STRICT
    data: tuple[DataConfig, ...] = ()
    folds: Annotated[Whole, Field(ge=2)] = 4
    threshold: Share = 0.5


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run. Paths are tried as they are, then under ``ZSRE_DATA``.

    Pairs that state a relation of ``held_out``, or of the split's ``eval`` and ``test``, are never trained on, not
    even as negatives. A split's ``train`` relations are all that is trained on, unless ``beyond_split``: then every
    relation of the data is, except those that the split holds out under any name.
    """

    __pydantic_config__ = STRICT
    data: Annotated[tuple[DataConfig, ...], NOT_EMPTY]
    name: str = "sdzre"
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    relation_encoder: str | None = None
    split: str | None = None
    beyond_split: bool = False
    held_out: tuple[str, ...] = ()
    max_tokens: Annotated[Whole, Field(ge=16)] = 128
    seed: Seed = 13
    texts: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    ranking: RankingConfig = field(default_factory=RankingConfig)
    level: LevelConfig = field(default_factory=LevelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)

    @property
    def relation_encoder_name(self) -> str:
        """Return the relation encoder's name, which is the sentence encoder's unless given."""
        return self.relation_encoder or self.encoder

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain data, every default spelt out."""
        return dataclasses.asdict(self)


def read_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read one configuration file, as `read_configs` does."""
    return read_configs((path,), overrides)


def read_configs(paths: Sequence[Path], overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration file and those on top of it; ``overrides`` are YAML values, as in ``optim.epochs=2``.

    Of a later file, groups of fields merge with what was there, lists and values replace it. Raises ConfigError
    naming the file or the override, the field, the value and the nearest field that exists.
    """
    layers = ConfigLayers()
    for path in paths:
        layers.add_file(read_mapping(path, "with at least 'data'" if path == paths[0] else "of fields"), str(path))
    for override in overrides:
        layers.add_flag(override)
    return _check(layers, str(paths[0]))


def parse_config(data: dict[str, Any], place: str) -> TrainConfig:
    """Check plain data; ``place`` begins each line of the error."""
    layers = ConfigLayers()
    layers.add_file(data, place)
    return _check(layers, place)


def find_data(path: str) -> Path:
    """Find a data file as given, else under the folder that ``ZSRE_DATA`` names (default ``data``)."""
    try:
        direct = Path(path).expanduser()
    except RuntimeError:
        # There is no such user; so it is a file whose name begins like that.
        direct = Path(path)
    root = Path(os.environ.get("ZSRE_DATA", "data"))
    for place in (direct, root / path):
        with looked_at(place, ConfigError):
            if place.exists():
                return place
    raise ConfigError(f"{path}: no such file, neither here nor under {root} (set ZSRE_DATA to the data folder)")


def _check(layers: ConfigLayers, place: str) -> TrainConfig:
    """Return the configuration that the layers make; ``place`` is blamed for what none of them brought."""
    try:
        return TypeAdapter(TrainConfig).validate_python(layers.data)
    except ValidationError as error:
        lines = [_describe(dict(problem), layers.place_of(problem["loc"]) or place) for problem in error.errors()]
        if len(lines) > SHOWN_PROBLEMS:
            lines[SHOWN_PROBLEMS:] = [f"and {len(lines) - SHOWN_PROBLEMS} more"]
        raise ConfigError("\n".join(lines)) from error


def _describe(problem: Problem, place: str) -> str:
    """Return the line that a person sees of a problem."""
    location = problem["loc"]
    where = ".".join(str(part) for part in location)
    if problem["type"] in UNKNOWN_FIELD:
        return f"{place}: unknown field {cut(where)!r}{_nearest(location)}"
    return f"{place}: {cut(where)}: {expectation(problem)}"


def _nearest(location: tuple[int | str, ...]) -> str:
    """Return a hint at the field that was meant: of the same group, else of another one."""
    *parents, name = (str(part) for part in location if not isinstance(part, int))
    group = "".join(f"{parent}." for parent in parents)
    fields = list(_fields(TrainConfig))
    beside = [each.removeprefix(group) for each in fields if each.rpartition(".")[0] == group.rstrip(".")]
    if close := difflib.get_close_matches(name, beside, 1):
        return f": did you mean {close[0]!r}?"
    last_names = {each.rpartition(".")[2] for each in fields}
    if close := difflib.get_close_matches(name, last_names, 1):
        meant = [repr(each) for each in fields if each.rpartition(".")[2] == close[0]]
        return f": did you mean {' or '.join(meant)}?"
    return f": known here are {', '.join(beside)}"


def _fields(group: type, prefix: str = "") -> Iterator[str]:
    """Yield the names of all fields, those of a group after the group's own name and a point."""
    for name, hint in get_type_hints(group).items():
        yield prefix + name
        for inner in (hint, *get_args(hint)):
            if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                yield from _fields(inner, f"{prefix}{name}.")
