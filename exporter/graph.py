"""The two graphs of a model: what is traced, its names and shapes, and how torch writes it down."""

from __future__ import annotations

import logging
import warnings

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from zsre.relations.contract import ADAPTED, BLOCKS
from zsre.trainer.model import SentenceModel
from zsre.trainer.relation_adapter import RelationAdapter

SENTENCE_INPUTS = ("input_ids", "attention_mask", "mentions", "pairs")
SENTENCE_OUTPUTS = ("mention_vectors", "context_vectors")
RELATION_INPUTS = ("input_ids", "attention_mask")
RELATION_OUTPUTS = ("vectors",)
OPSET = 20


class SentenceGraph(nn.Module):
    """The sentence side with plain tensors for outputs: (M, D) mention vectors and (P, D) context vectors."""

    def __init__(self, model: SentenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, mentions: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the two outputs of the graph."""
        output = self.model(input_ids, attention_mask, mentions, pairs)
        return output.mention_vectors_MD, output.context_vectors_PD


class RelationGraph(nn.Module):
    """The frozen relation encoder, mean pooling over tokens, normalised, (N, D), and what adapts relations, (R, 3, D).

    The two meet in one graph, as they are of one model, but have nothing to do with each other in it.
    """

    def __init__(self, encoder: nn.Module, adapter: RelationAdapter | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.adapter = adapter

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, blocks: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return one vector for each text, and with an adapter, ``blocks`` of such vectors adapted."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp_min(1e-9)
        vectors = nn.functional.normalize(mean, dim=-1)
        if self.adapter is None or blocks is None:
            return vectors
        return vectors, self.adapter(blocks)


def export_sentences(model: SentenceModel) -> onnx.ModelProto:
    """Trace the sentence side with rows, tokens, mentions and pairs all dynamic."""
    rows, tokens = Dim("rows"), Dim("tokens")
    shapes = (
        {0: rows, 1: tokens},
        {0: rows, 1: tokens},
        {0: Dim("mentions")},
        {0: Dim("pairs")},
    )
    example = (
        torch.tensor([[5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 0, 0], [5, 6, 7, 8, 9, 0]]),
        torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]]),
        torch.tensor([[0, 1, 2], [0, 3, 5], [1, 1, 2], [1, 2, 3], [2, 2, 4]]),
        torch.tensor([[0, 1], [1, 0], [2, 3], [3, 2]]),
    )
    return _export(SentenceGraph(model), example, shapes, SENTENCE_INPUTS, SENTENCE_OUTPUTS)


def export_relations(encoder: nn.Module, adapter: RelationAdapter | None = None) -> onnx.ModelProto:
    """Trace the relation encoder with texts and tokens dynamic; with an adapter, the graph takes and gives one more."""
    rows, tokens = Dim("rows"), Dim("tokens")
    shapes: tuple[dict[int, Dim], ...] = ({0: rows, 1: tokens}, {0: rows, 1: tokens})
    example = (torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
    graph = RelationGraph(encoder, adapter)
    if adapter is None:
        return _export(graph, example, shapes, RELATION_INPUTS, RELATION_OUTPUTS)
    blocks = torch.zeros(2, 3, adapter.known_NE.shape[1] // 3)
    inputs, outputs = (*RELATION_INPUTS, BLOCKS), (*RELATION_OUTPUTS, ADAPTED)
    return _export(graph, (*example, blocks), (*shapes, {0: Dim("relations")}), inputs, outputs)


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    shapes: tuple[dict[int, Dim], ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> onnx.ModelProto:
    # The exporter speaks at length of its own steps; what a person needs is in the parity check.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(), example, dynamic_shapes=shapes, input_names=list(inputs), output_names=list(outputs),
            opset_version=OPSET, dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = without_traces(program.model_proto)
    onnx.checker.check_model(model)
    return model


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what torch notes of the code it traced: stack traces, which hold paths of the exporting machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model
