"""Rewritten graphs compute what the graph does that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.rewrites import Rewrite, attentions, one_kernel, one_product, rewritten
from zsre.runner.engine import relations_path, shipped_model

#: Two rows, of which one is padded, and two mentions and pairs in each.
INPUTS = {
    "input_ids": np.random.default_rng(1).integers(1_000, 20_000, (2, 9)),
    "attention_mask": np.array([[1] * 9, [1] * 6 + [0] * 3]),
    "mentions": np.array([[0, 1, 3], [0, 5, 6], [1, 1, 2], [1, 3, 5]]),
    "pairs": np.array([[0, 1], [1, 0], [2, 3], [3, 2]]),
}


def run(path: Path) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, INPUTS)


def test_the_attention_of_every_layer_is_found() -> None:
    found = list(attentions(onnx.load_model(str(shipped_model())).graph))
    assert [layer.heads for layer in found] == [12] * 6
    assert len({name for layer in found for name in (layer.query, layer.key, layer.value)}) == 18


@pytest.mark.parametrize(("rewrite", "gone"), [(one_kernel, "IsNaN"), (one_product, None)])
def test_vectors_are_the_same(rewrite: Rewrite, gone: str | None, tmp_path: Path) -> None:
    path = rewritten(shipped_model(), rewrite, tmp_path / "tries" / "model.onnx")
    assert relations_path(path).read_bytes() == relations_path(shipped_model()).read_bytes()
    for own, shipped in zip(run(path), run(shipped_model()), strict=True):
        np.testing.assert_allclose(own, shipped, atol=1e-5)
    model, before = (onnx.load_model(str(each)) for each in (path, shipped_model()))
    onnx.checker.check_model(before)
    kinds = [node.op_type for node in model.graph.node]
    assert len(kinds) < len(before.graph.node) and gone not in kinds
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used
