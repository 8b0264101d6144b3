"""How weights are stored: fp32, fp16, or int8 with a scale for each output channel. What is stored so computes in fp32.

Two precisions are of computing, too, on the sentence side: `fp16` makes cuda-fp16, and `dynamic` makes dynamic-int8.

Small storage is written as Cast (and Mul), which ONNX Runtime folds into plain fp32 weights when it loads the
file. DequantizeLinear would be fused into low-precision kernels instead, silently and at a loss.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from zsre.exporter.dynamic import quantise_products
from zsre.exporter.fp16 import products_in_fp16
from zsre.relations.contract import ADAPTED
from zsre.relations.errors import ModelError

Storage = Literal["fp32", "fp16", "int8"]
Precision = Literal["fp32", "fp16", "int8", "cuda-fp16", "dynamic-int8"]
#: How weights are stored that are computed with in fp32 all the same: the whole relation half, for one, whose few texts
#: take no time, and whose vectors are kept.
STORAGE: Final[Mapping[Precision, Storage]] = {
    "fp32": "fp32",
    "fp16": "fp16",
    "int8": "int8",
    "cuda-fp16": "fp16",
    "dynamic-int8": "int8",
}
#: What the names of stored weights end in, and that of their values in fp32 before they are scaled.
_FP16, _INT8, _SCALE, _WIDE = ".fp16", ".int8", ".scale", ".wide"
#: Biases, norms and other small tensors stay as they are: they weigh nothing and matter most.
SMALLEST = 4096


#: What takes relation vectors elsewhere adds up large moves to small ones, so that 8 bits would lose a tenth of it.
FINE: Final = "adapter.moves_NE"


def sentences_at(graph: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """Return a sentence graph in fp32 at a precision."""
    if precision == "cuda-fp16":
        graph = products_in_fp16(graph)
    elif precision == "dynamic-int8":
        graph = quantise_products(graph)
    return store_weights(graph, STORAGE[precision])


def relations_at(graph: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """Return a relation graph in fp32 at a precision; it computes in fp32 at all of them."""
    adapts = any(output.name == ADAPTED for output in graph.graph.output)
    return store_weights(graph, STORAGE[precision], fine=(FINE,) if adapts else ())


def store_weights(model: onnx.ModelProto, storage: Storage, fine: Collection[str] = ()) -> onnx.ModelProto:
    """Return the model with its large weights in fp32 stored small; the graph computes as it did.

    Weights called as in ``fine`` are never stored at less than 16 bits; raises ModelError if one of them isn't there.
    """
    if missing := set(fine).difference(tensor.name for tensor in model.graph.initializer):
        raise ModelError(f"the exported graph holds no weights called {', '.join(sorted(missing))}")
    if storage == "fp32":
        return model
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    graph = stored.graph
    looked_up = {name for node in graph.node if node.op_type == "Gather" for name in node.input[:1]}
    transposed = {node.input[1] for node in graph.node if node.op_type == "Gemm" and _attribute(node, "transB")}
    keep, new, nodes = [], [], []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.ndim != 2 or array.size < SMALLEST:
            keep.append(tensor)
        elif storage == "fp16" or tensor.name in fine:
            new.append(numpy_helper.from_array(array.astype(np.float16), tensor.name + _FP16))
            nodes.append(helper.make_node("Cast", [new[-1].name], [tensor.name], to=TensorProto.FLOAT))
        else:
            # Rows of an embedding, columns of a matrix: the axis along which values belong together.
            by_row = tensor.name in looked_up or tensor.name in transposed
            whole, scale = quantise(array, axis=1 if by_row else 0)
            new.append(numpy_helper.from_array(whole, tensor.name + _INT8))
            new.append(numpy_helper.from_array(scale, tensor.name + _SCALE))
            wide = tensor.name + _WIDE
            nodes.append(helper.make_node("Cast", [tensor.name + _INT8], [wide], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [wide, tensor.name + _SCALE], [tensor.name]))
    rest = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(keep + new)
    graph.node.extend(nodes + rest)
    onnx.checker.check_model(stored)
    return stored


def widen_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its weights in fp32 again, whichever way `store_weights` stored them."""
    widened = onnx.ModelProto()
    widened.CopyFrom(model)
    graph = widened.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    scales = {node.input[0]: node for node in graph.node if node.op_type == "Mul" and node.input[0].endswith(_WIDE)}
    weights: list[TensorProto] = []
    gone: set[str] = set()
    for node in graph.node:
        if node.op_type != "Cast" or not node.input[0].endswith((_FP16, _INT8)) or node.input[0] not in stored:
            continue
        array = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
        gone.add(name := node.output[0])
        if name in scales:
            array = array * numpy_helper.to_array(stored[scales[name].input[1]])
            gone.add(name := scales[name].output[0])
        weights.append(numpy_helper.from_array(array, name))
    nodes = [node for node in graph.node if node.output[0] not in gone]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept + weights)
    onnx.checker.check_model(widened)
    return widened


def quantise(array: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 values and the scale (kept along ``axis``) that gives the array back when multiplied."""
    scale = np.abs(array).max(axis=axis, keepdims=True) / 127
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    return np.clip(np.rint(array / scale), -127, 127).astype(np.int8), scale


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)
