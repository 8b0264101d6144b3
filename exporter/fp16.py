"""A sentence graph that computes in fp16 where it multiplies, for GPUs, which do that several times as fast.

The encoder and every other product by a matrix of weights compute in fp16; pooling, distiller, tanh and normalisation
stay in fp32, as sums over a row's tokens and squares of them leave the range of fp16. Inside the encoder, softmax and
LayerNorm read and write fp16: ONNX Runtime's kernels for CUDA sum in fp32 within, and so do its matrix products.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from zsre.relations.errors import ModelError

#: What the weights of the encoder's own layers are called in a sentence graph.
ENCODER: Final = "model.encoder."
_MOST: Final = float(np.finfo(np.float16).max)


def products_in_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its encoder, and other products by weights, in fp16; the rest of it as it was.

    Raises ModelError for a graph in which no encoder is found.
    """
    halved = onnx.shape_inference.infer_shapes(model)
    graph = halved.graph
    _Rewrite(graph, {*_encoder_outputs(graph), *_products_by_weights(graph)}).run()
    # Types have changed, and whoever loads the file works them out again.
    del graph.value_info[:]
    onnx.checker.check_model(halved)
    return halved


class _Rewrite:
    """Puts the nodes of a graph that are named ``inside``, by the first that they give, into fp16."""

    def __init__(self, graph: GraphProto, inside: Collection[str]) -> None:
        self._graph, self._inside = graph, inside
        self._floats = _float_tensors(graph)
        self._weights = {tensor.name: tensor for tensor in graph.initializer if tensor.name in self._floats}
        # What a tensor in fp32 is called in fp16, once it is there.
        self._halves: dict[str, str] = {}
        self._made: list[TensorProto] = []

    def run(self) -> None:
        """Put the nodes into fp16, and a cast wherever a tensor goes into them or comes out of them."""
        nodes = list(self._graph.node)
        wanted = self._wanted_in_full(nodes)
        changed: list[NodeProto] = []
        for node in nodes:
            if node.output[0] in self._inside:
                changed += self._halved(node, wanted)
            else:
                changed.append(node)
        used = {name for node in changed for name in node.input}
        kept = [tensor for tensor in self._graph.initializer if tensor.name in used]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(changed)
        self._graph.initializer.extend([*kept, *self._made])

    def _wanted_in_full(self, nodes: Collection[NodeProto]) -> set[str]:
        """Return the tensors that nodes outside, or whoever runs the graph, read."""
        outside = (name for node in nodes if node.output[0] not in self._inside for name in node.input)
        return {*outside, *(output.name for output in self._graph.output)}

    def _halved(self, node: NodeProto, wanted: Collection[str]) -> Iterator[NodeProto]:
        """Yield a node in fp16, after casts of what it reads, and before casts of what others read of it."""
        for position, name in enumerate(node.input):
            if name in self._floats:
                if name not in self._halves:
                    yield from self._cast_in(name)
                node.input[position] = self._halves[name]
        if node.op_type == "Cast":
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT:
                attribute.t.CopyFrom(in_fp16(attribute.t, attribute.t.name))
        casts = []
        for position, name in enumerate(node.output):
            if name in self._floats:
                node.output[position] = self._halves[name] = f"{name}.half"
                if name in wanted:
                    casts.append(_cast(self._halves[name], name, TensorProto.FLOAT))
        yield node
        yield from casts

    def _cast_in(self, name: str) -> Iterator[NodeProto]:
        """Have a tensor in fp16: weights are stored so, anything else is cast, once for all nodes."""
        self._halves[name] = f"{name}.half"
        if name in self._weights:
            self._made.append(in_fp16(self._weights[name], self._halves[name]))
        else:
            yield _cast(name, self._halves[name], TensorProto.FLOAT16)


def _float_tensors(graph: GraphProto) -> set[str]:
    """Return the names of all tensors in fp32."""
    values = chain(graph.value_info, graph.input, graph.output)
    named = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return named | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _encoder_outputs(graph: GraphProto) -> set[str]:
    """Return what the nodes give whose work ends in the encoder's last normalisation: the encoder."""
    weighted = [node for node in graph.node if any(name.startswith(ENCODER) for name in node.input)]
    if not weighted:
        raise ModelError("no encoder is found in the graph, so it cannot compute in fp16")
    # Other norms are spelt out, and end in a product by their weights.
    norms = [node for node in weighted if node.op_type == "LayerNormalization"]
    last = (norms or weighted)[-1]
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    waiting = [last]
    while waiting:
        node = waiting.pop()
        if node.output[0] not in found:
            found.add(node.output[0])
            waiting += [makers[name] for name in node.input if name in makers]
    return found


def _products_by_weights(graph: GraphProto) -> set[str]:
    """Return what the nodes give that multiply by a matrix of weights, and those that transpose it before."""
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    turned = {node.output[0] for node in graph.node if node.op_type == "Transpose" and node.input[0] in matrices}
    products = {
        node.output[0]
        for node in graph.node
        if node.op_type in ("MatMul", "Gemm") and (matrices | turned).intersection(node.input)
    }
    return products | turned


def _cast(name: str, to: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [name], [to], name=f"{to}.cast", to=kind)


def in_fp16(tensor: TensorProto, name: str) -> TensorProto:
    """Return a tensor in fp16; what is infinite to it, as masks are, becomes the largest that it has."""
    return numpy_helper.from_array(numpy_helper.to_array(tensor).clip(-_MOST, _MOST).astype(np.float16), name)
