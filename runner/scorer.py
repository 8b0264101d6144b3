"""What turns pairs and relations into vectors, whether an exported file or a run directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zsre.relations.contract import Contract
from zsre.relations.errors import MissingExtraError, ModelError, UsageError
from zsre.relations.interrupts import interrupts_deferred
from zsre.relations.places import looked_at
from zsre.relations.relation import RelationSet
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner.engine import load_engine

SCORERS = "zsre.scorers"


class RelationScorer(Protocol):
    """The half of a loaded model that turns relations into vectors."""

    @property
    def contract(self) -> Contract:
        """Return what the model says of itself."""
        ...

    @property
    def device(self) -> str:
        """Return what it runs on, in a word."""
        ...

    def relation_vectors(self, relations: RelationSet) -> NDArray[np.float32]:
        """Return the blocks (R, 3, D), normalised and scaled."""
        ...


class Encoding(Protocol):
    """Sentences that are being encoded."""

    def done(self) -> bool:
        """Tell whether nothing is left to wait for."""
        ...

    def result(self) -> PairVectors:
        """Wait for them and return the vectors of all of their pairs."""
        ...

    def cancel(self) -> None:
        """Do no more of the work than has been begun."""
        ...


class Scorer(RelationScorer, Protocol):
    """A loaded model: it turns sentences and relations into vectors whose dot product is a similarity."""

    def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
        """Return the vectors of all pairs of the sentences."""
        ...

    def begin(self, sentences: Sequence[PairSentence]) -> Encoding:
        """Begin to `encode` sentences, while others may be under way."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """The encoding of a model that does nothing in the background: it is done from the start."""

    vectors: PairVectors

    def done(self) -> bool:
        """Return ``True``."""
        return True

    def result(self) -> PairVectors:
        """Return the vectors."""
        return self.vectors

    def cancel(self) -> None:
        """Do nothing: nothing is left to do."""


def load_scorer(path: Path | None, device: str, threads: int | None) -> Scorer:
    """Load an exported file (None: the one that ships), or a run directory through the adapter that is installed.

    Raises ModelError for what is neither, MissingExtraError for a run directory where torch is missing, and
    UsageError for a device that is not there, or for threads that a run directory would not heed.
    """
    if path is None or not _is_folder(path):
        return load_engine(path, device, threads)
    if threads:
        raise UsageError(
            f"--threads {threads}: is for exported models, and {path} is a run directory: zsre-export it first"
        )
    return _load_run(path, device)


def _is_folder(path: Path) -> bool:
    with looked_at(path, ModelError):
        return path.is_dir()


def _load_run(path: Path, device: str) -> Scorer:
    for entry in entry_points(group=SCORERS, name="run-directory"):
        try:
            with interrupts_deferred():
                load: Callable[[Path, str], Scorer] = entry.load()
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"a run directory needs {error.name}: pip install 'zsre[train]'") from error
        return load(path, device)
    raise ModelError(f"{path}: a folder, and no adapter for run directories is installed; give a model.onnx")
