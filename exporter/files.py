"""The two files of a model: what is put into them beside the graphs, and how they are written."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
from tokenizers import Tokenizer

from zsre.exporter.parity import Parity
from zsre.relations.contract import (
    CONTRACT_KEY,
    RELATIONS_ROLE,
    ROLE_KEY,
    SENTENCES_ROLE,
    TOKENIZER_KEY,
    Contract,
)
from zsre.relations.errors import OutputError
from zsre.relations.private_files import replacing
from zsre.runner.engine import relations_path


@dataclass(frozen=True)
class Exported:
    """The two files, their sizes in bytes, and how close they come to what they were made of."""

    model: Path
    relations: Path
    bytes: tuple[int, int]
    parity: Parity


@dataclass(frozen=True)
class ModelHalf:
    """One of the two: a graph, and the tokenizer that makes its input."""

    graph: onnx.ModelProto
    tokenizer: Tokenizer


def make_folder(output: Path) -> None:
    """Make the folder that a model is to lie in, before the seconds that its graphs take; raise OutputError."""
    with _reporting(output):
        output.parent.mkdir(parents=True, exist_ok=True)


def write_model(output: Path, contract: Contract, sentences: ModelHalf, relations: ModelHalf) -> tuple[int, int]:
    """Write both files, ``output`` and its ``.relations.onnx``; return their sizes. Raises OutputError."""
    halves = ((output, SENTENCES_ROLE, sentences), (relations_path(output), RELATIONS_ROLE, relations))
    with _reporting(output):
        for path, role, half in halves:
            add_metadata(half.graph, contract, role, half.tokenizer)
            save_model(half.graph, path)
    return output.stat().st_size, relations_path(output).stat().st_size


def add_metadata(model: onnx.ModelProto, contract: Contract, role: str, tokenizer: Tokenizer) -> None:
    """Put everything that the runner needs into the file's metadata."""
    fields: Mapping[str, str] = {
        CONTRACT_KEY: contract.to_json(),
        ROLE_KEY: role,
        TOKENIZER_KEY: tokenizer.to_str(),
    }
    onnx.helper.set_model_props(model, dict(fields))
    model.producer_name, model.producer_version = "zsre", importlib.metadata.version("zsre")


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model as one self-contained file, whole or not at all."""
    with replacing(path) as temporary:
        onnx.save_model(model, str(temporary), save_as_external_data=False)


@contextmanager
def _reporting(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{error.filename or output}: cannot be written: {error.strerror}") from error
