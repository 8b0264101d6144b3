from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.exporter.exported_run import ExportedRun, Vectors, largest_difference
from zsre.exporter import precision
from zsre.exporter.precision import FINE, Precision, quantise, store_weights
from zsre.relations.errors import ModelError

#: Kernels that compute in less than 32 bits, or keep weights quantised until they do.
LOW = ("DequantizeLinear", "QuantizeLinear", "Integer", "Quant", "QLinear", "NBits", "Float16")
SMALL: tuple[Precision, ...] = ("fp16", "int8")


@pytest.fixture(autouse=True)
def tiny_matrices_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "SMALLEST", 512)


def _run(model: onnx.ModelProto, exported: ExportedRun, optimised: Path | None = None) -> Vectors:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if optimised:
        options.optimized_model_filepath = str(optimised)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = exported.inputs()
    mentions, contexts = session.run(None, {name: getattr(inputs, name) for name in inputs.__slots__})
    return mentions, contexts


def _matrices(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [tensor for tensor in model.graph.initializer if len(tensor.dims) == 2 and np.prod(tensor.dims) >= 512]


class TestQuantise:
    matrices = arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False),
    )

    @given(matrices, st.sampled_from([0, 1]))
    def test_gives_an_array_back_to_half_a_step(self, array: NDArray[np.float32], axis: int) -> None:
        whole, scale = quantise(array, axis)
        assert whole.dtype == np.int8 and scale.dtype == np.float32
        assert scale.shape == tuple(1 if dimension == axis else size for dimension, size in enumerate(array.shape))
        # A step is 1/127 of the largest value along the axis.
        assert np.all(np.abs(whole * scale - array) <= scale * 0.5 * (1 + 1e-4))
        step = np.abs(array).max(axis, keepdims=True) / 127
        np.testing.assert_allclose(scale[step > 0], step[step > 0], rtol=1e-6)

    def test_zeros_stay_zeros(self) -> None:
        whole, scale = quantise(np.zeros((2, 3), dtype=np.float32), 0)
        assert not whole.any() and np.isfinite(scale).all()


@pytest.mark.parametrize("kind", SMALL)
def test_what_is_stored_small_still_computes_in_32_bits(kind: Precision, shared: ExportedRun, tmp_path: Path) -> None:
    model = onnx.load(shared.exported.model)
    stored = store_weights(model, kind)

    vectors = _run(stored, shared, tmp_path / "optimised.onnx")

    # Nothing but the rounding of the weights is lost: the same rounding done beforehand gives the same vectors.
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    kept = {tensor.name for tensor in stored.graph.initializer}
    scales = {tensor.name: numpy_helper.to_array(tensor) for tensor in stored.graph.initializer}
    for tensor in rounded.graph.initializer:
        if tensor.name not in kept:
            array = scales[f"{tensor.name}.{kind}"].astype(np.float32) * scales.get(f"{tensor.name}.scale", 1)
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), tensor.name))
    assert largest_difference(vectors, _run(rounded, shared)) <= 1e-6

    optimised = onnx.load(tmp_path / "optimised.onnx")
    kinds = {node.op_type for node in optimised.graph.node}
    assert not [kind for kind in kinds if any(low in kind for low in LOW)]
    assert {tensor.data_type for tensor in _matrices(optimised)} == {TensorProto.FLOAT}
    assert any("MatMul" in kind for kind in kinds)


@pytest.mark.parametrize(("kind", "share", "tolerance"), [("fp16", 0.5, 1e-3), ("int8", 0.3, 2e-2)])
def test_weights_are_smaller_and_vectors_close(
    kind: Precision, share: float, tolerance: float, shared: ExportedRun
) -> None:
    model = onnx.load(shared.exported.model)

    stored = store_weights(model, kind)

    bytes_before = sum(len(numpy_helper.to_array(tensor).tobytes()) for tensor in _matrices(model))
    names = {tensor.name for tensor in _matrices(model)}
    parts = [tensor for tensor in stored.graph.initializer if tensor.name.rpartition(".")[0] in names]
    bytes_after = sum(len(numpy_helper.to_array(tensor).tobytes()) for tensor in parts)
    assert len(names) > 10 and bytes_after <= share * bytes_before
    assert not names & {tensor.name for tensor in stored.graph.initializer}
    difference = largest_difference(_run(stored, shared), _run(model, shared))
    assert 0 < difference <= tolerance


@pytest.mark.parametrize("kind", SMALL)
def test_small_tensors_and_the_given_model_stay_as_they_are(kind: Precision, shared: ExportedRun) -> None:
    model = onnx.load(shared.exported.model)
    before = model.SerializeToString()
    small = {tensor.name: tensor for tensor in model.graph.initializer if tensor not in _matrices(model)}

    stored = store_weights(model, kind)

    assert model.SerializeToString() == before
    kept = {tensor.name: tensor for tensor in stored.graph.initializer}
    assert small and all(kept[name] == tensor for name, tensor in small.items())


def test_fp32_is_the_model_itself(shared: ExportedRun) -> None:
    model = onnx.load(shared.exported.model)
    assert store_weights(model, "fp32") is model


def test_scales_lie_along_what_belongs_together() -> None:
    """An embedding's rows, a matrix's columns, and the rows of a matrix that Gemm transposes have a scale each."""
    generator = np.random.default_rng(1)
    weights = {
        name: numpy_helper.from_array(generator.normal(size=(32, 40)).astype(np.float32), name)
        for name in ("embedding", "matrix", "transposed")
    }
    nodes = [
        helper.make_node("Gather", ["embedding", "ids"], ["looked"]),
        helper.make_node("Gemm", ["looked", "transposed"], ["narrow"], transB=1),
        helper.make_node("MatMul", ["narrow", "matrix"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2, 40])],
        list(weights.values()),
    )

    stored = store_weights(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), "int8")

    shapes = {tensor.name: tuple(tensor.dims) for tensor in stored.graph.initializer}
    assert shapes["embedding.scale"] == (32, 1)
    assert shapes["matrix.scale"] == (1, 40)
    assert shapes["transposed.scale"] == (32, 1)


def test_the_moves_of_an_adapter_keep_sixteen_bits(shared: ExportedRun) -> None:
    model = onnx.load(shared.exported.relations)
    assert FINE in {tensor.name for tensor in model.graph.initializer}, "the name that torch exports it by"

    stored = store_weights(model, "int8", fine=(FINE,))

    kinds = {tensor.name: tensor.data_type for tensor in stored.graph.initializer}
    assert kinds[f"{FINE}.fp16"] == TensorProto.FLOAT16
    assert TensorProto.INT8 in kinds.values()


def test_weights_that_must_stay_fine_have_to_be_there(shared: ExportedRun) -> None:
    with pytest.raises(ModelError, match="holds no weights called gone"):
        store_weights(onnx.load(shared.exported.relations), "int8", fine=(FINE, "gone"))
