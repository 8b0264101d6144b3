from __future__ import annotations

import ctypes
import importlib.metadata
import os
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from zsre.relations.contract import CONTRACT_KEY, ROLE_KEY
from zsre.relations.errors import ModelError, UsageError
from zsre.runner import session
from zsre.runner.session import (
    Device,
    choose_device,
    has_cuda_driver,
    open_session,
    processors,
    session_metadata,
)

CPU = Device("CPU", ("CPUExecutionProvider",))
CUDA = Device("CUDA", (("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that says what the machine has: a driver, and ONNX Runtime's providers."""

    def set_up(driver: bool, *providers: str) -> None:
        monkeypatch.setattr(session, "has_cuda_driver", lambda: driver)
        monkeypatch.setattr(ort, "get_available_providers", lambda: [*providers, "CPUExecutionProvider"])
        monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)

    return set_up


def install(versions: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package not in versions:
            raise importlib.metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_cuda_is_used_where_there_is_a_driver_and_a_build_for_it(machine: Any, wanted: str) -> None:
    machine(True, "CUDAExecutionProvider")
    assert choose_device(wanted) == CUDA


def test_the_cpu_is_used_where_it_is_asked_for(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(True, "CUDAExecutionProvider")
    monkeypatch.setattr(session, "has_cuda_driver", lambda: pytest.fail("nobody asked for CUDA"))
    assert choose_device("cpu") == CPU


def test_without_a_driver_onnx_runtime_is_not_asked_for_cuda(machine: Any, caplog: pytest.LogCaptureFixture) -> None:
    machine(False, "CUDAExecutionProvider")
    assert choose_device("auto") == CPU
    assert not caplog.records, "most machines have no GPU; that is nothing to warn of"
    with pytest.raises(UsageError) as caught:
        choose_device("cuda")
    assert str(caught.value) == "--device cuda: no NVIDIA driver on this machine; use --device cpu or auto"


def test_a_gpu_without_a_build_for_it_is_worth_a_warning(machine: Any, caplog: pytest.LogCaptureFixture) -> None:
    machine(True)
    assert choose_device("auto") == CPU
    assert [record.message for record in caplog.records] == [
        "there is a GPU, but this onnxruntime has no CUDA: pip install 'zsre[cuda]' to use it"
    ]
    with pytest.raises(UsageError) as caught:
        choose_device("cuda")
    assert str(caught.value) == "--device cuda: this onnxruntime has no CUDA: pip install 'zsre[cuda]'"


def test_two_packages_of_onnx_runtime_are_noticed(
    machine: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(False)
    install({"onnxruntime": "1.30.0", "onnxruntime-gpu": "1.31.1"}, monkeypatch)
    assert choose_device("cpu") == CPU
    assert [record.message for record in caplog.records] == [
        "both onnxruntime 1.30.0 and onnxruntime-gpu 1.31.1 are installed and overwrite each other; keep one: "
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    ]


@pytest.mark.parametrize("package", ["onnxruntime", "onnxruntime-gpu"])
def test_one_package_is_as_it_should_be(
    machine: Any, package: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(False)
    install({package: "1.31.1"}, monkeypatch)
    choose_device("auto")
    assert not caplog.records


class FakeDriver:
    """NVIDIA's library, as far as it is asked: what it returns from both calls, and how many devices it counts."""

    def __init__(self, init: int, count: int, devices: int) -> None:
        self.cuInit = lambda flags: init
        self.count, self.devices = count, devices

    def cuDeviceGetCount(self, place: Any) -> int:  # noqa: N802
        place._obj.value = self.devices
        return self.count


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        (FakeDriver(0, 0, 2), True),
        (FakeDriver(0, 0, 0), False),
        (FakeDriver(100, 0, 2), False),
        (FakeDriver(0, 100, 2), False),
        (object(), False),
    ],
)
def test_a_driver_counts_with_a_device(driver: object, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert has_cuda_driver() is found


def test_no_library_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert has_cuda_driver() is False


def test_a_model_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        open_session(tmp_path / "model.onnx", CPU)
    assert str(caught.value) == f"{tmp_path}/model.onnx: no such model file; make one with zsre-export"


@pytest.mark.usefixtures("locked")
def test_a_model_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "cannot be read: Permission denied; check the path and its permissions"
    with pytest.raises(ModelError, match=f"^locked/model.onnx: {told}"):
        open_session(Path("locked/model.onnx"), CPU)
    file = tmp_path / "locked"
    file.touch()
    # It may be looked at, but not opened.
    monkeypatch.setattr(Path, "is_dir", lambda path: False)
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    with pytest.raises(ModelError, match=f"^{file}: {told}"):
        open_session(file, CPU)


def test_a_folder_instead_of_a_model_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        open_session(tmp_path, CPU)
    assert str(caught.value).startswith(
        f"{tmp_path}: a folder, not a model file; if it is a run directory, zsre-export"
    )


@pytest.mark.parametrize("content", [b"", b"{}", b"relations:\n  - name: founded by\n", b"\x00" * 100])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        open_session(path, CPU)
    assert str(caught.value).startswith(f"{path}: not a model that ONNX Runtime can read: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == "", "ONNX Runtime prints nothing of its own"


def test_an_error_of_onnx_runtime_without_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(ort, "InferenceSession", fail)
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ModelError, match="ONNX Runtime can read: RuntimeError"):
        open_session(tmp_path / "model.onnx", CPU)


def test_whoever_runs_it_works_alone(tiny_model: Path) -> None:
    assert open_session(tiny_model, CPU).get_session_options().intra_op_num_threads == 1


def test_processors_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert processors() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert processors() == 7


def test_a_gpu_that_does_not_start_is_worth_a_warning(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = ort.InferenceSession
    monkeypatch.setattr(
        ort, "InferenceSession", lambda path, options, providers, **more: original(path, options, providers[1:], **more)
    )
    session = open_session(tiny_model, CUDA)
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert [record.message for record in caplog.records] == [
        "CUDA could not be started, so this runs on the CPU; see: pip install 'zsre[cuda]'"
    ]


def test_metadata_travels_in_the_file(tiny_model: Path) -> None:
    assert {CONTRACT_KEY, ROLE_KEY} <= session_metadata(open_session(tiny_model, CPU)).keys()


def test_no_kernel_that_adds_and_normalises_at_once_runs_on_a_cpu(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    original = ort.InferenceSession

    def written(path: str, options: Any, **more: Any) -> Any:
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        return original(path, options, **more)

    monkeypatch.setattr(ort, "InferenceSession", written)
    open_session(tiny_model, CPU)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("LayerNormalization") == 5, "two a layer, and one over the embeddings"
    assert "SkipLayerNormalization" not in kinds
