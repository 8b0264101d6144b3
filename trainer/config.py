"""The training configuration: one YAML file, checked whole before anything is loaded."""

from __future__ import annotations

import dataclasses
import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from zsre.relations.errors import ConfigError
from zsre.trainer.fields import STRICT, Count, NonNegative, Positive, PositiveFloat, Share
from zsre.trainer.losses import ContrastConfig, RankingConfig
from zsre.trainer.model import ModelConfig


@dataclass(frozen=True)
class DataConfig:
    """One source of labelled sentences and how much of it to use.

    ``per_relation`` caps the stating pairs of each relation, ``unrelated`` the pairs that state nothing
    (negatives); ``pairs_per_sentence`` caps both within a sentence. ``reversed`` adds each stated
    pair the wrong way round, as a negative for its own relation. ``leave_out`` names relations of this source that
    are not worth training on.
    """

    __pydantic_config__ = STRICT
    path: str
    format: str | None = None
    per_relation: Positive | None = None
    unrelated: Count = 0
    pairs_per_sentence: Positive = 8
    reversed: bool = False
    leave_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class LevelConfig:
    """The loss that teaches the model to say nothing; weight 0 (as in the paper) leaves it out."""

    __pydantic_config__ = STRICT
    weight: NonNegative = 0.0
    top_k: Positive = 3
    slope: PositiveFloat = 15.0
    level: float = 0.5


@dataclass(frozen=True)
class OptimConfig:
    """How the weights move.

    ``learning_rate`` is the encoder's; the new layers learn ``new_layers_factor`` times as fast. The
    embeddings and the first ``frozen_layers`` layers of the encoder stay as they are.
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
    precision: Literal["auto", "bf16", "fp32"] = "auto"


@dataclass(frozen=True)
class TextConfig:
    """Where relation texts come from and how several phrasings are used.

    ``sources`` are relations files, ``wikidata`` or a published ``relations.json``; a relation takes a
    phrasing from each source that has it. Training draws one at each step (``sample``) or uses their mean.
    ``drop_terms`` is the share of draws in which head and tail are described by neutral texts, so that
    relations without terms are not a surprise.
    """

    __pydantic_config__ = STRICT
    sources: tuple[str, ...] = ("wikidata",)
    phrasings: Literal["sample", "mean"] = "mean"
    drop_terms: Share = 0.0


@dataclass(frozen=True)
class EvalConfig:
    """Validation on relations that are not trained on; the best epoch is picked by their paper-metric F1."""

    __pydantic_config__ = STRICT
    per_relation: Positive = 100
    relations: tuple[str, ...] = ()


@dataclass(frozen=True)
class CalibrationConfig:
    """Cross-fitting (see `zsre.trainer.folds`): densely annotated ``data``, in ``folds`` of relations.

    ``threshold`` is the score from which on the model writes triples when nobody says otherwise.
    """

    __pydantic_config__ = STRICT
    data: tuple[DataConfig, ...] = ()
    folds: Annotated[int, Field(ge=2)] = 4
    threshold: Share = 0.5


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run. Paths are tried as they are, then under ``ZSRE_DATA``.

    Pairs that state a relation of ``held_out``, or of the split's ``eval`` and ``test``, are never trained on, not
    even as negatives.
    """

    __pydantic_config__ = STRICT
    data: tuple[DataConfig, ...]
    name: str = "sdzre"
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    relation_encoder: str | None = None
    split: str | None = None
    held_out: tuple[str, ...] = ()
    max_tokens: Annotated[int, Field(ge=16)] = 128
    seed: int = 13
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


def read_config(path: Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a configuration file; ``overrides`` such as ``optim.epochs=2`` are YAML values set on top.

    Raises ConfigError naming the file, the field, the value and the nearest field that exists.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML in UTF-8: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping with at least 'data', found {type(data).__name__}")
    for override in overrides:
        _override(data, override)
    return parse_config(data, str(path))


def parse_config(data: dict[str, Any], place: str) -> TrainConfig:
    """Check plain data; ``place`` begins each line of the error."""
    try:
        return TypeAdapter(TrainConfig).validate_python(data)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
                lines.append(f"{place}: unknown field {where!r}{_nearest(str(problem['loc'][-1]))}")
            else:
                lines.append(f"{place}: {where}: {problem['msg']} (found {problem['input']!r})")
        raise ConfigError("\n".join(lines)) from error


def find_data(path: str) -> Path:
    """Find a data file as given, else under the folder that ``ZSRE_DATA`` names (default ``data``)."""
    direct = Path(path).expanduser()
    if direct.exists():
        return direct
    root = Path(os.environ.get("ZSRE_DATA", "data"))
    if (root / path).exists():
        return root / path
    raise ConfigError(f"{path}: no such file, neither here nor under {root} (set ZSRE_DATA to the data folder)")


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override}: expected FIELD=VALUE, as in optim.epochs=2")
    *parents, last = key.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override}: {parent!r} is not a group of fields")
    try:
        data[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: {text!r} is not a YAML value") from error


def _nearest(name: str) -> str:
    groups = (TrainConfig, DataConfig, LevelConfig, OptimConfig, TextConfig, EvalConfig, CalibrationConfig)
    known = {
        item.name
        for group in (*groups, ModelConfig, ContrastConfig, RankingConfig)
        for item in dataclasses.fields(group)
    }
    close = difflib.get_close_matches(name, known, 1)
    return f": did you mean {close[0]!r}?" if close else ""
