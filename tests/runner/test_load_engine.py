from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Barrier

import onnxruntime as ort
import pytest

from zsre.relations.contract import CONTRACT_KEY, TOKENIZER_KEY
from zsre.relations.errors import ModelError, UsageError
from zsre.runner import engine as engine_module
from zsre.runner import session
from zsre.runner.engine import load_engine, load_relation_engine, relations_path, shipped_model


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """Return a copy of the two files that a test may damage."""
    shutil.copy(relations_path(tiny_model), relations_path(tmp_path / "model.onnx"))
    return Path(shutil.copy(tiny_model, tmp_path / "model.onnx"))


def edit_metadata(path: Path, change: Callable[[dict[str, str]], None]) -> None:
    import onnx

    proto = onnx.load(path)
    fields = {entry.key: entry.value for entry in proto.metadata_props}
    change(fields)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, fields)
    onnx.save(proto, path)


def refusal(model: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_engine(model, "cpu")
    return str(caught.value).replace(str(model.parent) + "/", "")


def test_without_the_relation_half(model: Path) -> None:
    relations_path(model).unlink()
    assert refusal(model) == (
        "model.onnx: model.relations.onnx is missing beside it; a model is both files, so copy both"
    )


@pytest.mark.usefixtures("locked")
def test_with_a_relation_half_that_may_not_be_looked_at() -> None:
    with pytest.raises(ModelError, match=r"^locked/model\.relations\.onnx: cannot be read: Permission denied"):
        load_relation_engine(Path("locked/model.onnx"), "cpu")


def test_with_the_relation_half_of_another_model(model: Path) -> None:
    def another(fields: dict[str, str]) -> None:
        fields[CONTRACT_KEY] = json.dumps({**json.loads(fields[CONTRACT_KEY]), "fingerprint": "0" * 32})

    edit_metadata(relations_path(model), another)
    assert refusal(model) == (
        "model.relations.onnx: belongs to another model than model.onnx; copy the two files of one export"
    )


def test_with_the_relation_half_given(model: Path) -> None:
    assert refusal(relations_path(model)) == (
        "model.relations.onnx: this is the 'relations' half of a model, not the 'sentences' half: give model.onnx"
    )


def test_with_one_half_under_both_names(model: Path) -> None:
    shutil.copy(model, relations_path(model))
    assert refusal(model) == (
        "model.relations.onnx: this is the 'sentences' half of a model, not the 'relations' half: copy both files "
        "again, each under its own name"
    )


@pytest.mark.parametrize("which", ["model.onnx", "model.relations.onnx"])
@pytest.mark.parametrize("text", [None, "{}", "not JSON"])
def test_without_a_tokenizer_that_can_be_read(model: Path, which: str, text: str | None) -> None:
    def damage(fields: dict[str, str]) -> None:
        del fields[TOKENIZER_KEY]
        if text is not None:
            fields[TOKENIZER_KEY] = text

    edit_metadata(model.with_name(which), damage)
    found = refusal(model)
    assert found.startswith(f"{which}: its tokenizer is missing or damaged (")
    assert found.endswith("); export the model again")


def test_with_half_a_file(model: Path) -> None:
    relations_path(model).write_bytes(relations_path(model).read_bytes()[:1000])
    assert refusal(model).startswith("model.relations.onnx: not a model that ONNX Runtime can read: ")


def test_cuda_without_a_driver(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "has_cuda_driver", lambda: False)
    with pytest.raises(UsageError) as caught:
        load_engine(model, "cuda")
    assert str(caught.value) == "--device cuda: no NVIDIA driver on this machine; use --device cpu or auto"
    assert load_engine(model, "auto").device == "CPU"


def test_no_model_means_the_one_that_ships(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = shipped_model()
    assert shipped.parts[-2:] == ("model", "model.onnx")
    assert shipped.parent.parent == Path(engine_module.__file__).parent
    monkeypatch.setattr(engine_module, "shipped_model", lambda: model)
    assert load_engine(None, "cpu").contract.name == "shared"


def test_a_gpu_that_does_not_start_leaves_the_cpu_all_its_threads(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gpu = session.Device("CUDA", (("CUDAExecutionProvider", {}), "CPUExecutionProvider"))
    monkeypatch.setattr(engine_module, "choose_device", lambda wanted: gpu)
    start, disabled = ort.InferenceSession, []

    def without_gpu(path: str, options: ort.SessionOptions, providers: list[object], **more: object) -> object:
        disabled.append(more["disabled_optimizers"])
        return start(path, options, [each for each in providers if each == "CPUExecutionProvider"], **more)

    monkeypatch.setattr(ort, "InferenceSession", without_gpu)
    engine = load_engine(tiny_model, "auto", 3)
    all_at_once = Barrier(3, timeout=10)
    assert engine.device == "CPU" and engine._workers.map(lambda _: all_at_once.wait() >= 0, range(3)) == [True] * 3
    assert disabled == [[], list(session.CPU_DISABLED)] * 2
    assert "CUDA could not be started" in caplog.text
