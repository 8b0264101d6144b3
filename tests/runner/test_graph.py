from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from zsre.relations.errors import ModelError
from zsre.runner.graph import Graph
from zsre.runner.session import Device, open_session

CPU = Device("CPU", ("CPUExecutionProvider",))
FEEDS = {
    "input_ids": np.asarray([[7, 50, 60, 8], [7, 51, 8, 0]]),
    "attention_mask": np.asarray([[1, 1, 1, 1], [1, 1, 1, 0]]),
    "mentions": np.asarray([[0, 1, 2], [0, 2, 3], [1, 1, 2]]),
    "pairs": np.asarray([[0, 1], [1, 0]]),
}
OUTPUTS = {"mention_vectors": (3, 32), "context_vectors": (2, 32)}


def test_bound_inputs_and_outputs_change_no_bit(tiny_model: Path) -> None:
    opened = open_session(tiny_model, CPU)
    graph = Graph(opened, "model.onnx")
    plain = opened.run(list(OUTPUTS), FEEDS)
    first, again = graph.run(FEEDS, OUTPUTS), graph.run(FEEDS, dict(reversed(OUTPUTS.items())))
    assert graph.device == "CPU"
    for one, other, turned in zip(first, plain, again[::-1], strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, turned)


class FakeGpu:
    """A session that says it runs on CUDA, and notes what is bound there while the CPU does its work."""

    def __init__(self, real: ort.InferenceSession, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real, self.bound = real, dict[str, str]()
        make = ort.OrtValue.ortvalue_from_numpy

        def from_numpy(array: Any, device: str) -> Any:
            self.devices.append(device)
            return make(array, "cpu")

        self.devices: list[str] = []
        monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", from_numpy)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def io_binding(self) -> Any:
        binding = self._real.io_binding()
        bind = binding.bind_output

        def bind_output(name: str, device: str) -> None:
            self.bound[name] = device
            bind(name, "cpu")

        binding.bind_output = bind_output
        return binding

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self._real.run_with_iobinding(binding, options)


def test_on_a_gpu_inputs_and_outputs_are_bound_to_its_memory(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_session(tiny_model, CPU)
    plain = opened.run(list(OUTPUTS), FEEDS)
    fake = FakeGpu(opened, monkeypatch)
    graph = Graph(fake, "model.onnx")
    found = graph.run(FEEDS, OUTPUTS)
    assert graph.device == "CUDA"
    assert fake.devices == ["cuda"] * len(FEEDS)
    assert fake.bound == dict.fromkeys(OUTPUTS, "cuda")
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_model_does_wrong_is_told(tiny_model: Path) -> None:
    graph = Graph(open_session(tiny_model, CPU), "model.onnx")
    with pytest.raises(ModelError, match=r"its output mention_vectors is float32 \(3, 32\), not float32 \(4, 32\)"):
        graph.run(FEEDS, {**OUTPUTS, "mention_vectors": (4, 32)})
    with pytest.raises(ModelError, match=r"model\.onnx: the model failed: "):
        graph.run({**FEEDS, "pairs": np.asarray([[0, 99]])}, OUTPUTS)


def test_a_graph_of_other_inputs_or_outputs_is_refused(tiny_model: Path) -> None:
    graph = Graph(open_session(tiny_model, CPU), "model.onnx")
    graph.check(FEEDS, OUTPUTS)
    graph.check(FEEDS.keys() - {"pairs"}, OUTPUTS, optional=[("pairs", "context_vectors")])
    with pytest.raises(ModelError, match=r"model.onnx: takes attention_mask, .* and should take attention_mask"):
        graph.check(FEEDS.keys() - {"pairs"}, OUTPUTS)
    with pytest.raises(ModelError, match="takes attention_mask"):
        graph.check(FEEDS.keys() - {"pairs"}, OUTPUTS, optional=[("pairs", "what comes of them")])
    with pytest.raises(ModelError, match="and give vectors"):
        graph.check(FEEDS, ["vectors"])
