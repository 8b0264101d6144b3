"""The adapter through which zsre-eval measures a run directory; the runner finds it by entry point."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from zsre.exporter.export import level_calibration
from zsre.relations.relation import RelationSet
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner.scorer import Scorer
from zsre.trainer.checkpoint import WEIGHTS
from zsre.trainer.relation_table import RelationEncoder
from zsre.trainer.setup import TrainedRun, choose_device, load_run
from zsre.trainer.validate import encode_pairs


class RunModel:
    """A run's torch model, encoding as an exported file does."""

    def __init__(self, run: TrainedRun, device: torch.device) -> None:
        self.run = run
        self.device = device.type.upper()
        self.run.model.to(device)
        self.relations = RelationEncoder(run.config.relation_encoder_name, str(device))

    def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
        """Encode all pairs of the sentences."""
        return encode_pairs(self.run.model, self.run.tokenizer, self.run.tokens, sentences)

    def relation_vectors(self, relations: RelationSet) -> NDArray[np.float32]:
        """Return the scaled blocks (R, 3, D)."""
        return self.relations.blocks(list(relations), self.run.config.model.alpha)


def load_scorer(path: Path, device: str) -> Scorer:
    """Load a run directory's best epoch for measuring, on CUDA where torch has it; raise UsageError if it must."""
    chosen = choose_device(device)
    run = load_run(path)
    return Scorer(
        RunModel(run, chosen),
        run.config.name,
        hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest()[:32],
        run.calibration or level_calibration(run),
        run.facts.seen_relations,
        run.facts.seen_data,
    )
