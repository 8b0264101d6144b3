"""The adapter through which zsre-eval measures a run directory; the runner finds it by entry point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from zsre.exporter.export import run_contract
from zsre.relations.relation import RelationSet
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner.scorer import Encoded, Encoding
from zsre.trainer.setup import choose_device
from zsre.trainer.trained_run import TrainedRun, load_run
from zsre.trainer.validate import encode_pairs


class RunScorer:
    """A run's torch model, with the contract that its export in full precision has."""

    def __init__(self, run: TrainedRun, device: torch.device) -> None:
        self._run = run
        self._relations = run.relation_encoder(str(device))
        self.contract = run_contract(run, self._relations, "fp32")
        self.device = device.type.upper()
        run.model.to(device)

    def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
        """Return the vectors of all pairs of the sentences."""
        return encode_pairs(self._run.model, self._run.tokenizer, self._run.tokens, sentences)

    def begin(self, sentences: Sequence[PairSentence]) -> Encoding:
        """Encode the sentences, now."""
        return Encoded(self.encode(sentences))

    def relation_vectors(self, relations: RelationSet) -> NDArray[np.float32]:
        """Return the scaled blocks (R, 3, D)."""
        return self._relations.blocks(list(relations), self.contract.alpha)


def load_scorer(path: Path, device: str) -> RunScorer:
    """Load a run directory's best epoch for measuring, on CUDA where torch has it; raise UsageError if it must."""
    chosen = choose_device(device)
    return RunScorer(load_run(path), chosen)
