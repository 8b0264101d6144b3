"""ONNX Runtime sessions: which device, which threads, and what goes wrong with its two packages."""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from zsre.relations.errors import ModelError, UsageError

logger = logging.getLogger(__name__)
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Device:
    """Where sessions run: ``name`` is for people, ``providers`` for ONNX Runtime."""

    name: str
    providers: tuple[str, ...]


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
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        if wanted == "cuda":
            raise UsageError("--device cuda: this onnxruntime has no CUDA: pip install 'zsre[cuda]'")
        logger.warning("there is a GPU, but this onnxruntime has no CUDA: pip install 'zsre[cuda]' to use it")
        return cpu
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    return Device("CUDA", ("CUDAExecutionProvider", "CPUExecutionProvider"))


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


def open_session(path: Path, device: Device, threads: int | None) -> ort.InferenceSession:
    """Load a model file; raise ModelError for one that is missing or that ONNX Runtime cannot read."""
    if path.is_dir():
        raise ModelError(f"{path}: a folder, not a model file; if it is a run directory, zsre-export makes one of it")
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; make one with zsre-export")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    # Threads that wait by spinning would take from spaCy what they don't use themselves.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=list(device.providers))
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base
        raise ModelError(f"{path}: not a model that ONNX Runtime can read: {first_line(error)}") from error
    if device.name == "CUDA" and "CUDAExecutionProvider" not in session.get_providers():
        logger.warning("CUDA could not be started, so this runs on the CPU; see: pip install 'zsre[cuda]'")
    return session


def check_signature(
    session: ort.InferenceSession,
    path: Path,
    inputs: Collection[str],
    outputs: Collection[str],
    optional: Collection[str] = (),
) -> None:
    """Raise ModelError unless a model takes these inputs, no others but ``optional`` ones, and gives these outputs."""
    taken, given = ({each.name for each in ends} for ends in (session.get_inputs(), session.get_outputs()))
    if taken.difference(optional) != set(inputs) or not given.issuperset(outputs):
        raise ModelError(
            f"{path}: takes {', '.join(sorted(taken)) or 'nothing'} and gives {', '.join(sorted(given))}, and should "
            f"take {', '.join(sorted(inputs))} and give {', '.join(sorted(outputs))}; export the model again"
        )


def run_session(
    session: ort.InferenceSession,
    path: str,
    feeds: Mapping[str, NDArray[np.int64]],
    shapes: Mapping[str, tuple[int, int]],
) -> list[NDArray[np.float32]]:
    """Return a model's outputs, of these shapes, all finite; raise ModelError for anything else that it does."""
    options = ort.RunOptions()
    # What goes wrong is in the exception; the log would also write names from the file to the terminal as they are.
    options.log_severity_level = 4
    try:
        found = session.run(list(shapes), dict(feeds), options)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base
        raise ModelError(f"{path}: the model failed: {first_line(error)}") from error
    for output, (name, shape) in zip(found, shapes.items(), strict=True):
        if not isinstance(output, np.ndarray) or output.dtype != np.float32 or output.shape != shape:
            kind = f"{output.dtype} {output.shape}" if isinstance(output, np.ndarray) else type(output).__name__
            raise ModelError(f"{path}: its output {name} is {kind}, not float32 {shape}; export the model again")
        if not np.isfinite(output).all():
            raise ModelError(f"{path}: its output {name} holds what is no number; export the model again")
    return list(found)


def first_line(error: BaseException) -> str:
    """Return what an error of a library says first, or what it is called if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def session_metadata(session: ort.InferenceSession) -> dict[str, str]:
    """Return the metadata that travels in a model file."""
    return dict(session.get_modelmeta().custom_metadata_map)
