"""One exported model becomes another of another precision."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.exporter.exported_run import SENTENCES, ExportedRun
from zsre.exporter import convert, files, precision
from zsre.exporter.convert import convert_model
from zsre.exporter.export import export_run
from zsre.exporter.parity import LIMITS
from zsre.exporter.precision import Precision, Storage, store_weights, widen_weights
from zsre.relations.contract import Calibration
from zsre.relations.errors import ModelError, OutputError, UsageError
from zsre.relations.private_files import publish
from zsre.runner.engine import load_engine, relations_path


@pytest.fixture(autouse=True)
def tiny_matrices_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "SMALLEST", 512)


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize("wanted", get_args(Precision))
def test_a_model_at_any_precision_is_what_an_export_of_its_run_would_be(
    wanted: Precision, shared: ExportedRun, tmp_path: Path
) -> None:
    converted = convert_model(shared.exported.model, tmp_path / "new" / "model.onnx", wanted)
    exported = export_run(shared.run.directory, tmp_path / "model.onnx", wanted)
    assert max(converted.parity.largest, exported.parity.largest) <= LIMITS[wanted]
    assert [own.graph.SerializeToString() for own in map(onnx.load, (converted.model, converted.relations))] == [
        own.graph.SerializeToString() for own in map(onnx.load, (exported.model, exported.relations))
    ]


def test_what_it_says_of_itself_is_the_source_s_but_for_the_precision(shared: ExportedRun, tmp_path: Path) -> None:
    convert_model(shared.exported.model, tmp_path / "one.onnx", "int8")
    convert_model(shared.exported.model, tmp_path / "again.onnx", "int8")
    convert_model(shared.exported.model, tmp_path / "other.onnx", "fp16")
    source = shared.engine.contract
    one, again, other = (load_engine(tmp_path / f"{name}.onnx", "cpu").contract for name in ("one", "again", "other"))
    assert one == again
    assert replace(one, precision="fp32", fingerprint=source.fingerprint, vectors=source.vectors) == source
    assert len({source.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert len({source.vectors_fingerprint, one.vectors_fingerprint, other.vectors_fingerprint}) == 3


def test_a_model_that_is_stored_small_can_be_converted_again(shared: ExportedRun, tmp_path: Path) -> None:
    convert_model(shared.exported.model, tmp_path / "int8.onnx", "int8")
    wide = convert_model(tmp_path / "int8.onnx", tmp_path / "wide.onnx", "fp32")
    assert wide.parity.largest <= 1e-6
    assert {tensor.data_type for tensor in onnx.load(wide.model).graph.initializer} & {
        TensorProto.INT8, TensorProto.FLOAT16,
    } == set()  # fmt: skip
    half = convert_model(tmp_path / "int8.onnx", tmp_path / "half.onnx", "cuda-fp16")
    found = load_engine(half.model, "cpu", 1).encode(SENTENCES).contexts.astype(np.float32)
    expected = load_engine(tmp_path / "int8.onnx", "cpu", 1).encode(SENTENCES).contexts.astype(np.float32)
    assert np.abs(found - expected).max() <= 5e-3


@pytest.mark.parametrize("storage", get_args(Storage))
def test_weights_are_widened_to_what_they_are_worth(storage: Storage, shared: ExportedRun) -> None:
    model = onnx.load(shared.exported.model)
    before, after = weights(model), weights(widen_weights(store_weights(model, storage)))
    assert after.keys() == before.keys()
    for name, array in after.items():
        assert array.dtype == before[name].dtype
        np.testing.assert_allclose(array, before[name], rtol=0, atol=np.abs(before[name]).max() / 127)
    if storage == "fp32":
        assert all(np.array_equal(array, before[name]) for name, array in after.items())


@pytest.mark.parametrize("made", ["cuda-fp16", "dynamic-int8"])
def test_what_computes_in_less_is_no_source(made: Precision, shared: ExportedRun, tmp_path: Path) -> None:
    convert_model(shared.exported.model, tmp_path / "made.onnx", made)
    with pytest.raises(ModelError, match=rf"computes in less than 32 bits \({made}\).*one of fp32, fp16, int8"):
        convert_model(tmp_path / "made.onnx", tmp_path / "out.onnx", "fp32")
    assert not (tmp_path / "out.onnx").exists()


def test_a_model_is_not_converted_onto_itself(shared: ExportedRun, tmp_path: Path) -> None:
    for path in (shared.exported.model, shared.exported.relations):
        shutil.copy(path, tmp_path)
    before = (tmp_path / "model.onnx").read_bytes()
    with pytest.raises(UsageError, match="give the other precision another name"):
        convert_model(tmp_path / "model.onnx", tmp_path / "." / "model.onnx", "int8")
    # Nor onto its other half.
    with pytest.raises(UsageError, match="give the other precision another name"):
        convert_model(tmp_path / "model.onnx", tmp_path / "model.relations.onnx", "int8")
    assert (tmp_path / "model.onnx").read_bytes() == before
    assert (tmp_path / "model.relations.onnx").read_bytes() == shared.exported.relations.read_bytes()


@pytest.mark.parametrize("damage", ["missing", "circle", "no model", "no relations"])
def test_a_source_that_cannot_be_used_is_told(damage: str, shared: ExportedRun, tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    if damage == "circle":
        source.symlink_to(source)
    elif damage != "missing":
        shutil.copy(shared.exported.model, source)
    if damage == "no model":
        source.write_bytes(b"no model")
        shutil.copy(shared.exported.relations, relations_path(source))
    with pytest.raises(ModelError, match="model"):
        convert_model(source, tmp_path / "out.onnx", "int8")
    assert not (tmp_path / "out.onnx").exists()


def test_a_conversion_that_computes_something_else_is_refused(
    shared: ExportedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before stays, and nothing else."""
    old = {tmp_path / "out.onnx": b"old", tmp_path / "out.relations.onnx": b"old relations"}
    for path, content in old.items():
        path.write_bytes(content)

    def spoiled(model: onnx.ModelProto) -> onnx.ModelProto:
        for tensor in model.graph.initializer:
            if tensor.name == "model.context.bias":
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 3, tensor.name))
        return model

    monkeypatch.setattr(convert, "widen_weights", spoiled)
    with pytest.raises(ModelError, match=r"differs from .*model\.onnx by .*int8 explains no more than"):
        convert_model(shared.exported.model, tmp_path / "out.onnx", "int8")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old
    for path in old:
        path.unlink()
    with pytest.raises(ModelError):
        convert_model(shared.exported.model, tmp_path / "out.onnx", "int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [True, False], ids=["old files", "no files"])
@pytest.mark.parametrize("part", ["check", "out.relations.onnx", "out.onnx"])
def test_an_interrupted_conversion_leaves_what_was_there(
    part: str, there: bool, shared: ExportedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {tmp_path / "out.onnx": b"old", tmp_path / "out.relations.onnx": b"old relations"} if there else {}
    for path, content in old.items():
        path.write_bytes(content)

    def interrupted(*given: object) -> None:
        if part == "check" or given[1] == tmp_path / part:
            raise KeyboardInterrupt
        publish(*given)  # type: ignore[arg-type]

    if part == "check":
        monkeypatch.setattr(convert, "check_parity", interrupted)
    else:
        monkeypatch.setattr(files, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_model(shared.exported.model, tmp_path / "out.onnx", "int8")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


@pytest.mark.parametrize("name", ["out.onnx", "out.relations.onnx"])
def test_a_place_that_is_taken_by_a_folder(name: str, shared: ExportedRun, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "precious").touch()
    with pytest.raises(OutputError, match=r"out\.onnx: cannot be written: Is a directory"):
        convert_model(shared.exported.model, tmp_path / "out.onnx", "int8")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / name, tmp_path / name / "precious"]


def test_the_calibration_stays(shared: ExportedRun, tmp_path: Path) -> None:
    contract = replace(shared.engine.contract, calibration=Calibration(9.0, -3.0, 0.25, "folds"))
    assert convert.converted_contract(contract, "int8", tmp_path).calibration == contract.calibration


def test_torch_is_not_needed() -> None:
    code = "import zsre.exporter.convert, sys; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
