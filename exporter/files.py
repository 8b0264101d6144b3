"""The two files of a model: what is put into them beside the graphs, and how they are written."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
from zsre.relations.private_files import publish, replacing
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
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename or output}: cannot be written: {error.strerror}") from error


def write_model(
    output: Path, contract: Contract, sentences: ModelHalf, relations: ModelHalf, check: Callable[[Path], Parity]
) -> Exported:
    """Write both files, ``output`` and its ``.relations.onnx``, once they have passed a check; return what came of it.

    ``check`` is given the model in a folder beside its place. If it raises, or anything else goes wrong, what was in
    their places is there as before. Raises OutputError if the files cannot be written.
    """
    with _draft_beside(output) as draft:
        with _reporting(output):
            for path, role, half in (
                (draft, SENTENCES_ROLE, sentences),
                (relations_path(draft), RELATIONS_ROLE, relations),
            ):
                add_metadata(half.graph, contract, role, half.tokenizer)
                save_model(half.graph, path)
        parity = check(draft)
        sizes = draft.stat().st_size, relations_path(draft).stat().st_size
        with _reporting(output):
            _put_in_place(draft, output)
    return Exported(output, relations_path(output), sizes, parity)


@contextmanager
def _draft_beside(output: Path) -> Iterator[Path]:
    """Give a name for a model in a folder that its owner alone reads, and that is gone afterwards."""
    with _reporting(output):
        folder = tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent)
    with folder as name:
        yield Path(name) / output.name


def _put_in_place(draft: Path, output: Path) -> None:
    """Put both files in their places, or neither.

    The model itself comes last: until it is there, the old one, if there is one, lies beside relations with another
    fingerprint or beside none, and the runner refuses either.
    """
    beside, before = relations_path(output), draft.with_name("before")
    try:
        # A folder of that name isn't ours to move; nothing can be put in its place.
        if beside.is_file():
            beside.replace(before)
        publish(relations_path(draft), beside)
        publish(draft, output)
    finally:
        if draft.exists():  # so it isn't in its place
            if before.exists():
                before.replace(beside)
            elif not relations_path(draft).exists():
                beside.unlink()


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
        # The file that it says is one on its way there.
        raise OutputError(f"{output}: cannot be written: {error.strerror}") from error
