"""Everything that turns a corpus into triples, loaded and checked: the same for all shards of a run."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from zsre.relations.relation import RelationSet
from zsre.runner.entities import Annotator
from zsre.runner.flags import MAX_MENTIONS
from zsre.runner.pair_types import TypeMask
from zsre.runner.pairing import Admits
from zsre.runner.records import RecordSettings
from zsre.runner.rules import Rules
from zsre.runner.scorer import RelationScorer, Scorer
from zsre.runner.triples import SCHEMA_VERSION, relations_fingerprint, triples_schema

_PACKAGES: Final = ("zsre", "spacy", "onnxruntime-gpu", "onnxruntime", "tokenizers", "numpy", "pyarrow")


class Decider(ABC):
    """What decides on vectors, wherever they come from: a model's relation side, relations and rules."""

    engine: RelationScorer
    relations: RelationSet
    rules: Rules
    max_mentions: int

    @property
    @abstractmethod
    def keep(self) -> tuple[str, ...]:
        """Return the fields that are passed through."""

    @property
    @abstractmethod
    def pipeline(self) -> str:
        """Return what found sentences and entities."""

    @cached_property
    def relation_vectors(self) -> NDArray[np.float32]:
        """Return the relations' vectors, (R, 3, D), encoded once."""
        return self.engine.relation_vectors(self.relations)

    @cached_property
    def mask(self) -> TypeMask:
        """Return which relations allow which types."""
        return TypeMask(self.relations)

    @cached_property
    def schema(self) -> pa.Schema:
        """Return the output's schema, with the facts of the run in its metadata."""
        return triples_schema(self.keep, self.facts)

    @cached_property
    def facts(self) -> dict[str, object]:
        """Return what made these triples, for the metadata of every part and for ``run.json``."""
        thresholds = zip(self.relations.ids, self.rules.thresholds.tolist(), strict=True)
        contract, calibration = self.engine.contract, self.rules.calibration
        return {
            "schema": SCHEMA_VERSION,
            "model": {
                "name": contract.name,
                "fingerprint": contract.fingerprint,
                "pairing": contract.pairing,
            },
            "relations": relations_fingerprint(self.relations),
            "thresholds": dict(thresholds),
            "calibration": {"slope": calibration.slope, "intercept": calibration.intercept},
            "max_relations": self.rules.max_relations,
            "max_mentions": self.max_mentions,
            "pipeline": self.pipeline,
            "versions": installed_versions(),
        }


@dataclass(frozen=True)
class Job(Decider):
    """Everything that a shard of text needs to become triples; the same for all shards of a run.

    With ``all_types``, pairs are encoded whatever the types of their mentions, since their vectors are kept for other
    relations; what is written is the same.
    """

    records: RecordSettings
    annotator: Annotator
    engine: Scorer
    relations: RelationSet
    rules: Rules
    max_mentions: int = MAX_MENTIONS
    all_types: bool = False

    @property
    def keep(self) -> tuple[str, ...]:
        """Return the fields that are passed through."""
        return self.records.keep

    @property
    def pipeline(self) -> str:
        """Return what finds sentences and entities."""
        return self.annotator.name

    @property
    def admits(self) -> Admits:
        """Return what tells whether a pair of types is worth encoding."""
        return (lambda head, tail: True) if self.all_types else self.mask.admits


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that can make a difference to a triple."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
