"""How weights are stored: fp32, fp16, or int8 with a scale for each output channel; computing is always in fp32.

Small storage is written as Cast (and Mul), which ONNX Runtime folds into plain fp32 weights when it loads the
file. DequantizeLinear would be fused into low-precision kernels instead, silently and at a loss.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Precision = Literal["fp32", "fp16", "int8"]
#: Biases, norms and other small tensors stay as they are: they weigh nothing and matter most.
SMALLEST = 4096


def store_weights(model: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """Return the model with its large weights stored at a precision; the graph still computes in fp32."""
    if precision == "fp32":
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
        elif precision == "fp16":
            new.append(numpy_helper.from_array(array.astype(np.float16), tensor.name + ".fp16"))
            nodes.append(helper.make_node("Cast", [new[-1].name], [tensor.name], to=TensorProto.FLOAT))
        else:
            # Rows of an embedding, columns of a matrix: the axis along which values belong together.
            by_row = tensor.name in looked_up or tensor.name in transposed
            whole, scale = quantise(array, axis=1 if by_row else 0)
            new.append(numpy_helper.from_array(whole, tensor.name + ".int8"))
            new.append(numpy_helper.from_array(scale, tensor.name + ".scale"))
            wide = tensor.name + ".wide"
            nodes.append(helper.make_node("Cast", [tensor.name + ".int8"], [wide], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [wide, tensor.name + ".scale"], [tensor.name]))
    rest = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(keep + new)
    graph.node.extend(nodes + rest)
    onnx.checker.check_model(stored)
    return stored


def quantise(array: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 values and the scale (kept along ``axis``) that gives the array back when multiplied."""
    scale = np.abs(array).max(axis=axis, keepdims=True) / 127
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    return np.clip(np.rint(array / scale), -127, 127).astype(np.int8), scale


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)
