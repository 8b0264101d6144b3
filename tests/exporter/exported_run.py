"""What the tests compare: a run, its export, and sentences to put through both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from zsre.exporter.files import Exported
from zsre.exporter.parity import mark_up
from zsre.relations.tokens import EncoderInputs, encoder_inputs, token_rows
from zsre.runner.engine import Engine
from zsre.trainer.trained_run import TrainedRun

Vectors = tuple[NDArray[np.float32], NDArray[np.float32]]

#: Sentences of the tiny vocabulary, of different length, with two to four mentions.
SENTENCES = tuple(
    mark_up(text)
    for text in (
        "[[ada]] was born in [[avalon]] .",
        "[[bo]] was founded by [[cleo]] and [[dan]] near the old river [[erith]] .",
        "the bridge [[fulda]] crosses the river [[gaunt]] .",
        "who wrote the novel [[hyth]] ? the author , [[lee mia]] , lives in a large city by the river and sings of "
        "the old home from [[brent]] , that is near the bridge ( and is large ) .",
        "[[jon]] , [[kay]] .",
    )
)


class ExportedRun(NamedTuple):
    """A run, its export in fp32, and the runner's engine on it."""

    run: TrainedRun
    exported: Exported
    engine: Engine

    def inputs(self, *sentences: int, multiple_of: int = 1) -> EncoderInputs:
        """Return the inputs of the sentences with these indices, of all if none is given."""
        chosen = [SENTENCES[index] for index in sentences or range(len(SENTENCES))]
        rows = token_rows(chosen, self.run.tokenizer, self.run.tokens).rows
        return encoder_inputs(rows, self.run.tokens.pad_id, ((0, multiple_of),))

    def torch_vectors(self, inputs: EncoderInputs) -> Vectors:
        """Return what the torch model makes of inputs."""
        arrays = (inputs.input_ids, inputs.attention_mask, inputs.mentions, inputs.pairs)
        with torch.inference_mode():
            output = self.run.model(*(torch.from_numpy(array) for array in arrays))
        return output.mention_vectors_MD.numpy(), output.context_vectors_PD.numpy()


def largest_difference(one: Vectors, other: Vectors) -> float:
    """Return the largest difference between two pairs of arrays of one shape."""
    assert [array.shape for array in one] == [array.shape for array in other]
    return max(float(np.abs(left - right).max()) for left, right in zip(one, other, strict=True))
