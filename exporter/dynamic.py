"""Products in 8 bits: weights quantised beforehand, activations when the graph runs, by ONNX Runtime's own tool.

The scale of the activations is that of the whole batch, so a vector depends, a little, on what else is in it. Weights
have a scale for each output channel and 7 bits: with 8, processors without VNNI would clip sums of two products.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

#: By this the tool knows that shapes are as they should be; it warns of a graph without it.
_PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}


def quantise_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every product by a matrix of weights in 8 bits; what is looked up stays as it is."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    # The tool turns Gemm around and works shapes out again, which must not meet those from before.
    del plain.graph.value_info[:]
    onnx.helper.set_model_props(plain, _PREPARED)
    vectors = {tensor.name for tensor in plain.graph.initializer if len(tensor.dims) < 2}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        quantize_dynamic(
            plain,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            # A product by one vector: ONNX Runtime's kernel takes matrices alone.
            nodes_to_exclude=[
                node.name for node in plain.graph.node if node.op_type == "MatMul" and vectors.intersection(node.input)
            ],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(path)
