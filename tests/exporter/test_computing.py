"""Exports that compute in less than 32 bits: cuda-fp16 and dynamic-int8."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.exporter.exported_run import SENTENCES, ExportedRun, largest_difference
from zsre.exporter.cli import PRECISIONS
from zsre.exporter.export import export_run
from zsre.exporter.files import Exported
from zsre.exporter.fp16 import in_fp16, products_in_fp16
from zsre.exporter.parity import LIMITS
from zsre.exporter.precision import STORAGE, Precision
from zsre.relations.errors import ModelError
from zsre.relations.vectors import PairVectors
from zsre.runner.engine import Engine, load_engine


@pytest.fixture(scope="session")
def exports(shared_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Precision], Exported]:
    @cache
    def export(precision: Precision) -> Exported:
        return export_run(shared_run, tmp_path_factory.mktemp(precision) / "model.onnx", precision)

    return export


@pytest.fixture(scope="session")
def shared_run(tiny_runs: Callable[[str], Path]) -> Path:
    return tiny_runs("shared")


def operators(path: Path) -> dict[str, set[int]]:
    """Return the types of weights that each kind of operator reads in a file, by name."""
    graph = onnx.load(path).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    found: dict[str, set[int]] = {}
    for node in graph.node:
        found.setdefault(node.op_type, set()).update(types[name] for name in node.input if name in types)
    return found


def alone(engine: Engine) -> list[PairVectors]:
    return [engine.encode([sentence]) for sentence in SENTENCES]


def change_by_batch(engine: Engine) -> float:
    """Return how much an element of a vector changes with what else is in the batch, float16 aside."""
    together = engine.encode(SENTENCES * 3)
    contexts = np.concatenate([own.contexts for own in alone(engine)] * 3).astype(np.float32)
    return float(np.abs(contexts - together.contexts.astype(np.float32)).max())


def test_every_precision_can_be_asked_for_and_has_its_storage_and_limit() -> None:
    assert set(PRECISIONS) == set(STORAGE) == set(LIMITS)


@pytest.mark.parametrize(("precision", "least", "most"), [("cuda-fp16", 1e-7, 5e-3), ("dynamic-int8", 1e-4, 1e-1)])
def test_vectors_are_close_and_the_contract_says_how_they_are_made(
    precision: Precision, least: float, most: float, exports: Callable[[Precision], Exported], shared: ExportedRun
) -> None:
    exported = exports(precision)
    engine = load_engine(exported.model, "cpu", threads=1)
    assert least < max(exported.parity.mentions, exported.parity.contexts) <= most
    assert engine.contract.precision == precision
    assert engine.contract.fingerprint != shared.engine.contract.fingerprint
    found = engine.run_graph(shared.inputs())
    assert [array.dtype for array in found] == [np.float32] * 2
    assert least < largest_difference(found, shared.torch_vectors(shared.inputs())) <= most


def test_fp16_multiplies_in_fp16_and_pools_in_fp32(exports: Callable[[Precision], Exported]) -> None:
    exported = exports("cuda-fp16")
    found = operators(exported.model)
    # The distiller's query is a vector that states in fp32 are multiplied by, and so is that of pooling.
    assert found["MatMul"] == {TensorProto.FLOAT16, TensorProto.FLOAT}
    assert found["Gemm"] == {TensorProto.FLOAT16}
    assert found["LayerNormalization"] == {TensorProto.FLOAT16}
    graph = onnx.load(exported.model).graph
    assert not [tensor.name for tensor in graph.initializer if tensor.data_type == 1 and len(tensor.dims) == 2]


def test_a_graph_is_left_as_it_is_by_its_half(shared: ExportedRun) -> None:
    graph = onnx.load(shared.exported.model)
    before = graph.SerializeToString()
    halved = products_in_fp16(graph)
    assert graph.SerializeToString() == before
    # Each tensor is cast once, whoever reads it.
    casts = [(node.input[0], node.attribute[0].i) for node in halved.graph.node if node.op_type == "Cast"]
    assert len(casts) == len(set(casts))
    # What isn't a product by weights, or of the encoder, reads and gives what it did.
    kept = {tensor.name for tensor in halved.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    assert {"model.projection.query", "model.selector.offset", "model.selector.key.bias"} <= kept


def test_an_encoder_without_such_norms_is_found_by_its_weights(shared: ExportedRun) -> None:
    graph = onnx.load(shared.exported.model)
    of_norms = {node.input[1] for node in graph.graph.node if node.op_type == "LayerNormalization"}
    for node in graph.graph.node:
        if node.op_type == "LayerNormalization":
            node.op_type = "Mul"
            del node.input[2:], node.attribute[:]
    halved = products_in_fp16(graph)
    types = {tensor.name.removesuffix(".half"): tensor.data_type for tensor in halved.graph.initializer}
    assert {types[name] for name in of_norms} == {TensorProto.FLOAT16}


def test_a_graph_without_an_encoder_cannot_be_halved() -> None:
    with pytest.raises(ModelError, match="no encoder is found"):
        products_in_fp16(helper.make_model(helper.make_graph([], "nothing", [], [])))


def test_weights_beyond_what_fp16_holds_are_its_largest() -> None:
    tensor = numpy_helper.from_array(np.float32([-3.4e38, 1.0, 7e4]), "mask")
    assert numpy_helper.to_array(in_fp16(tensor, "half")).tolist() == [-65504.0, 1.0, 65504.0]


def test_dynamic_int8_multiplies_in_8_bits_and_looks_up_in_32(exports: Callable[[Precision], Exported]) -> None:
    found = operators(exports("dynamic-int8").model)
    assert TensorProto.INT8 in found["MatMulInteger"]
    assert "Gemm" not in found
    assert TensorProto.INT8 not in found["Gather"] | found["MatMul"]


@pytest.mark.parametrize("precision", ["cuda-fp16", "dynamic-int8"])
def test_relation_vectors_are_computed_in_32_bits(
    precision: Precision, exports: Callable[[Precision], Exported]
) -> None:
    exported = exports(precision)
    assert not {"MatMulInteger", "DynamicQuantizeLinear"} & operators(exported.relations).keys()
    types = {value.type.tensor_type.elem_type for value in onnx.load(exported.relations).graph.output}
    assert types == {TensorProto.FLOAT}
    assert exported.parity.relations <= LIMITS[STORAGE[precision]]


@pytest.mark.parametrize("precision", ["fp16", "int8", "cuda-fp16"])
def test_the_batch_does_not_matter(precision: Precision, exports: Callable[[Precision], Exported]) -> None:
    assert change_by_batch(load_engine(exports(precision).model, "cpu", threads=1)) == 0


def test_the_batch_matters_to_dynamic_int8(
    exports: Callable[[Precision], Exported], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a way around that may make it a default."""
    engine = load_engine(exports("dynamic-int8").model, "cpu", threads=1)
    # Sentences of any length share a batch, so that it is not only copies that do.
    monkeypatch.setattr(engine, "_widths", ((0, 32),))
    assert change_by_batch(engine) > 1e-4
