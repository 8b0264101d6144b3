"""ONNX Runtime sessions: which device, which threads, and what goes wrong with its two packages."""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnxruntime as ort

from zsre.relations.errors import ModelError, UsageError
from zsre.relations.places import looked_at

logger = logging.getLogger(__name__)
CUDA_PROVIDER: Final = "CUDAExecutionProvider"
#: What is said to compute in 32 bits does: TensorFloat-32, the default, keeps 10 bits of what it multiplies.
CUDA_OPTIONS: Final[Mapping[str, str]] = {"use_tf32": "0"}
#: On a CPU, the kernel that adds and normalises at once sums one number at a time, and takes four times as long as the
#: two that it stands for: 8 % of all that MiniLM takes.
CPU_DISABLED: Final = ("SkipLayerNormFusion",)
#: Threads for one batch on a CPU: more of them would wait for each other after each of its hundred products.
THREADS_IN_A_RUN: Final = 1


@dataclass(frozen=True)
class Device:
    """Where sessions run: ``name`` is for people, ``providers``, with their options, for ONNX Runtime."""

    name: str
    providers: tuple[str | tuple[str, dict[str, str]], ...]


def choose_device(wanted: str) -> Device:
    """Return CUDA where a driver and a CUDA build of ONNX Runtime are there, else the CPU.

    ONNX Runtime prints alarming lines when it is asked for CUDA in vain, so the driver is looked for first.
    Raises UsageError if CUDA was asked for and cannot be had, saying what is missing.
    """
    warn_of_two_packages()
    cpu = Device("CPU", ("CPUExecutionProvider",))
    if wanted == "cpu":
        return cpu
    if not has_cuda_driver():
        if wanted == "cuda":
            raise UsageError("--device cuda: no NVIDIA driver on this machine; use --device cpu or auto")
        return cpu
    if CUDA_PROVIDER not in ort.get_available_providers():
        if wanted == "cuda":
            raise UsageError("--device cuda: this onnxruntime has no CUDA: pip install 'zsre[cuda]'")
        logger.warning("there is a GPU, but this onnxruntime has no CUDA: pip install 'zsre[cuda]' to use it")
        return cpu
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    return Device("CUDA", ((CUDA_PROVIDER, dict(CUDA_OPTIONS)), "CPUExecutionProvider"))


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_cuda_driver() -> bool:
    """Tell whether NVIDIA's driver library loads and finds a device."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False


def warn_of_two_packages() -> None:
    """Notice that both onnxruntime packages are installed, which overwrite each other's files."""
    found = []
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if len(found) == 2:
        logger.warning(
            "both %s and %s are installed and overwrite each other; keep one: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu",
            *found,
        )


def open_session(path: Path, device: Device) -> ort.InferenceSession:
    """Load a model file, to run in as many threads at a time as ask it to, each of which works on its own.

    Raises ModelError for a file that is missing or that ONNX Runtime cannot read.
    """
    _check_readable(path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = THREADS_IN_A_RUN
    disabled = CPU_DISABLED if device.name == "CPU" else ()
    try:
        session = ort.InferenceSession(
            str(path), options, providers=list(device.providers), disabled_optimizers=list(disabled)
        )
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base
        raise ModelError(f"{path}: not a model that ONNX Runtime can read: {first_line(error)}") from error
    if device.name == "CUDA" and CUDA_PROVIDER not in session.get_providers():
        logger.warning("CUDA could not be started, so this runs on the CPU; see: pip install 'zsre[cuda]'")
        return open_session(path, choose_device("cpu"))
    return session


def _check_readable(path: Path) -> None:
    """Raise ModelError for what ONNX Runtime would only tell by a number, or not at all."""
    with looked_at(path, ModelError):
        if path.is_dir():
            raise ModelError(
                f"{path}: a folder, not a model file; if it is a run directory, zsre-export makes one of it"
            )
        if not path.is_file():
            raise ModelError(f"{path}: no such model file; make one with zsre-export")
        path.open("rb").close()


def first_line(error: BaseException) -> str:
    """Return what an error of a library says first, or what it is called if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def session_metadata(session: ort.InferenceSession) -> dict[str, str]:
    """Return the metadata that travels in a model file."""
    return dict(session.get_modelmeta().custom_metadata_map)
