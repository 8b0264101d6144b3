"""What SECURITY.md promises of models that a stranger made: they make a command fail, in words, and do nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runner.fakes import contract
from tests.strangers.commands import refused, run
from zsre.relations.contract import CONTRACT_KEY, RELATIONS_ROLE, ROLE_KEY, SENTENCES_ROLE, TOKENIZER_KEY
from zsre.runner.engine import relations_path

onnx = pytest.importorskip("onnx")

WIDTH = 4
#: Damage to a contract, and what the error names.
CONTRACTS: dict[str, dict[str, Any]] = {
    "dimension": {"dimension": 10**18},
    "max_tokens": {"tokens": {"max_tokens": -1}},
    "first_id": {"tokens": {"first_id": "1"}},
    "markers": {"tokens": {"markers": [1, 2, 3]}},
    "pairing": {"tokens": {"pairing": "{0}"}},
    "alpha": {"alpha": 5},
    "slope": {"calibration": {"slope": float("nan")}},
    "name": {"name": ["a"]},
    "unexpected": {"surprise": 1},
}
SPLIT = {"type": "Split", "behavior": "Removed", "invert": False}


def numbers(name: str, source: str, width: int = WIDTH) -> list[Any]:
    """Return nodes that make a row of numbers of each row of ``source``."""
    node = onnx.helper.make_node
    return [
        node("Cast", [source], [f"{name}_cast"], to=1),
        node("ReduceMean", [f"{name}_cast", "one"], [f"{name}_mean"], keepdims=1),
        node("Mul", [f"{name}_mean", f"ones_{width}"], [name]),
    ]


class Stranger:
    """A model of two files, which works as it is, and what a test has changed in it."""

    def __init__(self) -> None:
        self.contract: dict[str, Any] = json.loads(replace(contract(), dimension=WIDTH).to_json())
        words = {"[UNK]": 0, "a": 1}
        self.tokenizer: dict[str, Any] = {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
            "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"},
        }  # fmt: skip
        self.metadata: dict[str, str] = {}
        self.nodes: dict[str, list[Any]] = {
            SENTENCES_ROLE: [*numbers("mention_vectors", "mentions"), *numbers("context_vectors", "pairs")],
            RELATIONS_ROLE: numbers("vectors", "input_ids"),
        }
        self.tensors = [
            onnx.numpy_helper.from_array(np.asarray([1], dtype=np.int64), "one"),
            *(onnx.numpy_helper.from_array(np.ones((1, n), dtype=np.float32), f"ones_{n}") for n in (1, WIDTH, 5)),
        ]
        self.domains = {"": 20}

    def save(self, path: Path) -> str:
        for role, file in ((SENTENCES_ROLE, path), (RELATIONS_ROLE, relations_path(path))):
            file.write_bytes(self._model(role).SerializeToString())
        return str(path)

    def _model(self, role: str) -> Any:
        value, integer, single = onnx.helper.make_tensor_value_info, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
        inputs = {"input_ids": ["S", "T"], "attention_mask": ["S", "T"]}
        outputs = ["vectors"]
        if role == SENTENCES_ROLE:
            inputs |= {"mentions": ["M", 3], "pairs": ["P", 2]}
            outputs = ["mention_vectors", "context_vectors"]
        graph = onnx.helper.make_graph(
            self.nodes[role], "graph",
            [value(name, integer, shape) for name, shape in inputs.items()],
            [value(name, single, None) for name in outputs],
            self.tensors,
        )  # fmt: skip
        domains = [onnx.helper.make_opsetid(name, version) for name, version in self.domains.items()]
        model = onnx.helper.make_model(graph, opset_imports=domains, ir_version=10)
        fields = {
            CONTRACT_KEY: json.dumps(self.contract), ROLE_KEY: role, TOKENIZER_KEY: json.dumps(self.tokenizer),
            **self.metadata,
        }  # fmt: skip
        onnx.helper.set_model_props(model, fields)
        return model


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return old | {key: merged(old[key], value) if isinstance(value, dict) else value for key, value in new.items()}


def test_a_model_from_a_stranger_may_work(place: Path) -> None:
    assert run("--model", Stranger().save(place / "model.onnx"), "--device", "cpu") == 0


@pytest.mark.parametrize("named", CONTRACTS)
def test_contracts_with_values_that_no_export_writes(
    place: Path, named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = Stranger()
    stranger.contract = merged(stranger.contract, CONTRACTS[named])
    error = refused(capfd, "--model", stranger.save(place / "model.onnx"))
    assert "model.onnx: its contract is damaged (" in error and named in error


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": 1e999}', "{", "null", "[]", ""])
def test_contracts_that_cannot_be_read(place: Path, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    stranger = Stranger()
    stranger.metadata[CONTRACT_KEY] = text
    assert "its contract cannot be read" in refused(capfd, "--model", stranger.save(place / "model.onnx"))


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret", "link"])
def test_weights_that_lie_elsewhere(place: Path, target: str, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "secret").write_bytes(bytes(64))
    folder = place / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(place / "secret")
    stranger = Stranger()
    weights = stranger.tensors[2]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", target
    error = refused(capfd, "--model", stranger.save(folder / "model.onnx"))
    assert "not a model that ONNX Runtime can read" in error


@pytest.mark.parametrize("domain, kind", [("stranger.ops", "Run"), ("ai.onnx.contrib", "PyOp")])
def test_operators_that_are_not_built_in(
    place: Path, domain: str, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = Stranger()
    stranger.domains[domain] = 1
    stranger.nodes[RELATIONS_ROLE][-1] = onnx.helper.make_node(
        kind, ["vectors_mean"], ["vectors"], domain=domain, library="/nowhere/evil.so", module="os", function="system"
    )
    error = refused(capfd, "--model", stranger.save(place / "model.onnx"))
    assert "model.relations.onnx: not a model that ONNX Runtime can read" in error


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_models_that_are_cut_short(place: Path, keep: int, capfd: pytest.CaptureFixture[str]) -> None:
    path = Path(Stranger().save(place / "model.onnx"))
    path.write_bytes(path.read_bytes()[:keep])
    assert "model.onnx: " in refused(capfd, "--model", str(path))


def gives(kind: str, *inputs: str) -> Callable[[Stranger], None]:
    """Return what makes an operator the last one of the relation half."""

    def change(stranger: Stranger) -> None:
        stranger.nodes[RELATIONS_ROLE][-1] = onnx.helper.make_node(kind, list(inputs), ["vectors"])

    return change


def as_wide_as(width: int) -> Callable[[Stranger], None]:
    def change(stranger: Stranger) -> None:
        stranger.nodes[RELATIONS_ROLE] = numbers("vectors", "input_ids", width)

    return change


def exchanged(stranger: Stranger) -> None:
    stranger.nodes[SENTENCES_ROLE] = [*numbers("mention_vectors", "pairs"), *numbers("context_vectors", "mentions")]


@pytest.mark.parametrize(
    "change, told",
    [
        (as_wide_as(5), "its output vectors is float32 ("),
        (as_wide_as(1), "its output vectors is float32 ("),
        (exchanged, "its output mention_vectors is float32 ("),
        (gives("Identity", "ones_4"), "its output vectors is float32 ("),
        (gives("Div", "ones_4", "vectors_mean"), "holds what is no number"),
        (gives("Reshape", "vectors_mean", "one"), "model.relations.onnx: the model failed: "),
    ],
    ids=["too wide", "too narrow", "exchanged", "too few", "no numbers", "fails"],
)
def test_models_that_give_something_else(
    place: Path, change: Callable[[Stranger], object], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = Stranger()
    change(stranger)
    assert told in refused(capfd, "--model", stranger.save(place / "model.onnx"), "--device", "cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"vocab": {"a": 1}}},
        {"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "("}}},
        {"pre_tokenizer": {**SPLIT, "pattern": {"Regex": "([a-z ]+)+[A-Z]"}}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"model": {"type": "Pickle"}},
    ],
    ids=["no token for unknown words", "a pattern that is none", "a pattern that takes for ever", "panics", "unknown"],
)  # fmt: skip
def test_tokenizers_that_fail(place: Path, change: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    stranger = Stranger()
    stranger.tokenizer = stranger.tokenizer | change
    if "model" in change:
        stranger.tokenizer["model"] = {"type": "WordLevel", "vocab": {}, "unk_token": "[UNK]"} | change["model"]
    assert run("--model", stranger.save(place / "model.onnx"), "--device", "cpu") == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("zsre-extract: error: ") and "tokenizer" in last
