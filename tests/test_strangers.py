"""What SECURITY.md promises of files that a stranger made: they make a command fail, in words, and do nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RELATIONS_YAML, FakeEngine, contract, jsonl
from zsre.relations.contract import CONTRACT_KEY, RELATIONS_ROLE, ROLE_KEY, SENTENCES_ROLE, TOKENIZER_KEY
from zsre.runner import cli, job_spec, kept_command
from zsre.runner.engine import relations_path
from zsre.runner.entities import load_annotator
from zsre.runner.kept import mentions_path, pairs_path

onnx = pytest.importorskip("onnx")

WIDTH = 4
TEXT = "Microsoft was founded by Bill Gates. Ann Lee married Bob Day in Paris."
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

cached_annotator = cache(load_annotator)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    Path("relations.yaml").write_text(RELATIONS_YAML)
    Path("corpus.jsonl").write_bytes(jsonl([{"text": TEXT}]))
    return tmp_path


def run(*args: str, corpus: str = "corpus.jsonl", output: str = "out") -> int:
    return cli.main([corpus, "--relations", "relations.yaml", "-o", output, "--quiet", *args])


def refused(capfd: pytest.CaptureFixture[str], *args: str, **options: str) -> str:
    """Return the error, the only line, that a command ends with."""
    assert run(*args, **options) == 2
    error = capfd.readouterr().err
    assert error.startswith("zsre-extract: error: ")
    assert error.count("\n") == 1, error
    return error


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


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory of kept vectors, as a run leaves it."""
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(kept_command, "load_relation_engine", lambda model, device, threads: FakeEngine())
    assert run("--save-pairs", "vectors") == 0
    assert run(corpus="vectors", output="again") == 0
    return Path("vectors")


def rewritten(path: Path, name: str, column: pa.Array | None) -> None:
    table = pq.read_table(path)
    index = table.column_names.index(name)
    field = table.schema.field(name)
    changed = table.remove_column(index)
    if column is not None:
        changed = table.set_column(index, pa.field(name, column.type, field.nullable), column)
    counts = pq.read_metadata(path).metadata
    pq.write_table(changed.replace_schema_metadata({key: counts[key] for key in counts if key == b"zsre.counts"}), path)


@pytest.mark.parametrize("name", ["head", "tail"])
@pytest.mark.parametrize("row", [-1, None, 10**6, 2**62])
def test_kept_pairs_that_point_to_where_nothing_is(
    vectors: Path, name: str, row: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = pairs_path(vectors, 0)
    mentions = pq.read_metadata(mentions_path(vectors, 0)).num_rows
    count = pq.read_metadata(path).num_rows
    rewritten(path, name, pa.array([mentions if row is None else row] * count, pa.int64()))
    error = refused(capfd, corpus="vectors", output="other")
    assert "is damaged (a pair's head or tail is none of its mentions); save the vectors again" in error


@pytest.mark.parametrize("name, value", [("start", -5), ("end", 10**9), ("sent_start", -1), ("sent_end", 10**9)])
def test_kept_mentions_outside_of_their_sentences(
    vectors: Path, name: str, value: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = mentions_path(vectors, 0)
    rewritten(path, name, pa.array([value] * pq.read_metadata(path).num_rows, pa.int64()))
    assert "mentions-00000" not in (error := refused(capfd, corpus="vectors", output="other")) and "is damaged" in error


@pytest.mark.parametrize(
    "which, name, make",
    [
        (pairs_path, "head", lambda count: pa.array(["0"] * count)),
        (pairs_path, "head", lambda count: None),
        (pairs_path, "vector", lambda count: pa.array([[0.0]] * count, pa.list_(pa.float16()))),
        (mentions_path, "vector", lambda count: pa.array([[0.0] * 3] * count, pa.list_(pa.float16(), 3))),
        (mentions_path, "sentence", lambda count: pa.array([1] * count)),
        (mentions_path, "doc_id", lambda count: None),
    ],
)
def test_kept_columns_that_are_others(
    vectors: Path,
    which: Callable[[Path, int], Path],
    name: str,
    make: Callable[[int], pa.Array | None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = which(vectors, 0)
    rewritten(path, name, make(pq.read_metadata(path).num_rows))
    error = refused(capfd, corpus="vectors", output="other")
    assert "its columns are not those of kept vectors" in error or "cannot be read (" in error


def test_kept_vectors_of_no_numbers(vectors: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = pairs_path(vectors, 0)
    table = pq.read_table(path)
    field = table.schema.field("vector")
    nothing = pa.array(np.full(len(table) * field.type.list_size, np.nan, dtype=np.float16))
    rewritten(path, "vector", pa.FixedSizeListArray.from_arrays(nothing, type=field.type))
    assert "a vector holds what is no number" in refused(capfd, corpus="vectors", output="other")


@pytest.mark.parametrize(
    "change",
    [
        {"shards": "../1"}, {"shards": -1}, {"dimension": "8"}, {"precision": "pickle"}, {"keep": [1]},
        {"types": [[[1], ["ORG"]]]}, {"max_mentions": None}, {"surprise": 1}, {"corpus": {}},
    ],
)  # fmt: skip
def test_markers_that_no_run_writes(
    vectors: Path, change: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    marker = vectors / "vectors.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | change))
    assert "vectors.json: is damaged (" in refused(capfd, corpus="vectors", output="other")


def test_json_that_nests_without_end(vectors: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (vectors / "vectors.json").write_text("[" * 100_000)
    assert "vectors.json: cannot be read" in refused(capfd, corpus="vectors", output="other")
    Path("out/run.json").write_text("[" * 100_000)
    assert run() == 4
    assert "its run.json is missing or damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"part": "../precious"}, {"part": ["part-00000.parquet"]}, {"index": "0"}, {"index": 7},
        {"place": {"segment": 0, "first_line": 1, "lines": 1, "records": 1, "start": -5, "end": 10}},
        {"counts": {"lines": "many", "rejects": {}, "types_seen": []}},
        {"counts": {"rejects": {}, "types_seen": "many"}},
        {"counts": {"rejects": {}, "fields_missing": {"url": "many"}}},
        {"counts": {"rejects": {}, "types_unnamed": [1]}},
        {"counts": []},
        {"counts": None},
    ],
)  # fmt: skip
def test_a_run_goes_on_from_no_record_that_it_cannot_have_written(vectors: Path, change: dict[str, object]) -> None:
    precious = Path("precious")
    precious.write_text("precious")
    run_file, record = Path("out/run.json"), Path("out/shards/00000.json")
    rows = pq.read_table("out/part-00000.parquet")
    facts = json.loads(run_file.read_text()) | {"status": "running"}
    del facts["finished"]
    run_file.write_text(json.dumps(facts))
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    assert run("--save-pairs", "vectors") == 0
    assert pq.read_table("out/part-00000.parquet").equals(rows)
    assert json.loads(run_file.read_text())["counts"]["lines"] == 1
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("change", [{"name": "/etc/hostname"}, {"start": -1}, {"first_line": "1"}, {"id_prefix": 1}])
def test_a_run_reads_no_input_that_was_not_given(
    vectors: Path, change: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    run_file = Path("out/run.json")
    facts = json.loads(run_file.read_text())
    facts |= {"status": "running", "input": [facts["input"][0] | change]}
    run_file.write_text(json.dumps(facts))
    assert run("--save-pairs", "vectors") == 4
    assert "out: holds a run that " in capfd.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("flags", [(), ("--overwrite",)])
def test_a_run_writes_through_no_link_in_its_directory(
    vectors: Path, flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Path("elsewhere")
    Path("out/shards").rename(elsewhere)
    before = (elsewhere / "00000.json").read_bytes()
    Path("out/shards").symlink_to(elsewhere.absolute())
    assert run(*flags) == 4
    assert "out/shards: is a link, as no run makes it" in capfd.readouterr().err
    assert (elsewhere / "00000.json").read_bytes() == before
    Path("out/shards").unlink()
    Path("out/.lock").unlink()
    Path("out/.lock").symlink_to(Path("made").absolute())
    assert run("--overwrite") == 4
    assert not Path("made").exists()
