"""A sentence model that computes in fp16 where it multiplies, for GPUs, which do that several times as fast.

The encoder and every other layer with a matrix of weights compute in fp16; pooling, distiller, tanh and normalisation
stay in fp32, as sums over a row's tokens and squares of them leave the range of fp16. Inside the encoder, softmax and
LayerNorm read and write fp16: ONNX Runtime's kernels for CUDA sum in fp32 within, and so do its matrix products.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from zsre.trainer.model import SentenceModel


class HalfEncoder(nn.Module):
    """An encoder in fp16 whose states come out in fp32."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.inner = encoder.half()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        """Return the states (S, T, D), as the encoder names them."""
        states = self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return BaseModelOutput(last_hidden_state=states.float())


class HalfLinear(nn.Module):
    """A linear layer in fp16 between fp32 inputs and outputs."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.inner = layer.half()

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer makes of ``x``."""
        out: Tensor = self.inner(x.half()).float()
        return out


def half_model(model: SentenceModel) -> SentenceModel:
    """Return a copy of the model that computes in fp16 where it multiplies by weights."""
    halved = copy.deepcopy(model)
    layers = [
        (parent, name, layer)
        for path, parent in halved.named_modules()
        if path.partition(".")[0] != "encoder"
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear)
    ]
    for parent, name, layer in layers:
        setattr(parent, name, HalfLinear(layer))
    halved.encoder = HalfEncoder(halved.encoder)  # type: ignore[assignment]
    return halved
