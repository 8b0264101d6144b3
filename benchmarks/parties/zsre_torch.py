"""zsre with PyTorch in the place of its graph: the same pairing, tokens, batches and decisions, encoding in bfloat16.

It does less than the graph: a mention is the mean of its tokens, and a pair the mean of its sentence, so that the
encoder is all that takes time.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.parties.zsre_given import change, model_path, work
from benchmarks.protocol import Job, Work, serve
from zsre.relations.tokens import EncoderInputs
from zsre.runner import engine as engine_module
from zsre.runner.engine import load_engine
from zsre.trainer.encoders import load_sentence_encoder

#: What batches depend on the device by: constants of zsre.runner.engine, ``CPU_`` or ``CUDA_`` and these.
BATCHES: Final = ("TOKENS", "WIDTHS")
Vectors = NDArray[np.float32]


def prepare(job: Job) -> Work:
    """Load the model, and its encoder once more for PyTorch, which then stands in for the graph.

    ONNX Runtime only encodes relations here, and leaves the GPU to PyTorch; batches are those that it would get there.
    """
    if job["device"] == "cuda":
        change({f"{engine_module.__name__}.CPU_{name}": getattr(engine_module, f"CUDA_{name}") for name in BATCHES})
    engine = load_engine(model_path(job), "cpu", 1)
    settings = engine.contract.tokens
    encoder = load_sentence_encoder(engine.contract.encoder, settings.pairing, settings.max_tokens).model
    engine.run_graph = TorchGraph(encoder, torch.device(job["device"])).run  # type: ignore[method-assign]
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
    return work(job, engine, versions)


class TorchGraph:
    """Runs an encoder on the batches that an engine makes; vectors have its width."""

    def __init__(self, encoder: torch.nn.Module, device: torch.device) -> None:
        self._encoder = encoder.to(device, torch.bfloat16).eval()
        self._device = device

    @torch.inference_mode()
    def run(self, inputs: EncoderInputs) -> tuple[Vectors, Vectors]:
        """Return mention vectors (M, D) and context vectors (P, D), in the memory of the CPU."""
        mask = self._there(inputs.attention_mask)
        states = self._encoder(input_ids=self._there(inputs.input_ids), attention_mask=mask).last_hidden_state
        rows, first, end = self._there(inputs.mentions).unbind(dim=1)
        places = torch.arange(mask.shape[1], device=self._device)
        inside = (places >= first[:, None]) & (places < end[:, None])
        mentions = means(states[rows], inside)
        contexts = means(states, mask)[rows[self._there(inputs.pairs)[:, 0]]]
        return self._back(mentions), self._back(contexts)

    def _there(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    def _back(self, vectors: Tensor) -> Vectors:
        found: Any = vectors.float().cpu().numpy()
        return np.asarray(found, dtype=np.float32)


def means(states: Tensor, weights: Tensor) -> Tensor:
    """Return (N, H): the mean of each row's states (N, T, H), by weights (N, T)."""
    chosen = weights.to(states.dtype)
    found: Tensor = torch.einsum("nth,nt->nh", states, chosen) / chosen.sum(dim=1, keepdim=True)
    return found


if __name__ == "__main__":
    serve(prepare)
