"""An exported model becomes another one of another precision: without its run, and without torch."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

import onnx

from zsre.exporter.files import Exported, ModelHalf, make_folder, write_model
from zsre.exporter.parity import check_parity, engine_outputs, probe_inputs
from zsre.exporter.precision import Precision, relations_at, sentences_at, widen_weights
from zsre.relations.contract import TOKENIZER_KEY, Contract
from zsre.relations.errors import ModelError, UsageError
from zsre.relations.places import real_path
from zsre.relations.tokens import prepare_tokenizer, read_tokenizer
from zsre.runner.engine import load_engine, relations_path

#: Precisions that compute in fp32, and so can become any other.
_WIDE: Final = ("fp32", "fp16", "int8")


def convert_model(source: Path, output: Path, precision: Precision) -> Exported:
    """Write the model of ``source`` at another precision to ``output`` and its ``.relations.onnx``; check both first.

    It keeps the calibration, and gets a fingerprint of its own. Raises ModelError for a file that isn't one of ours or
    computes in less than 32 bits, or if the two differ by more than the precision explains; OutputError if the files
    cannot be written.
    """
    sources, outputs = ({real_path(path), real_path(relations_path(path))} for path in (source, output))
    if sources & outputs:
        raise UsageError(f"{output}: is what is converted; give the other precision another name")
    engine = load_engine(source, "cpu")
    contract = converted_contract(engine.contract, precision, source)
    sentences, relations = (_read_half(path) for path in (source, relations_path(source)))
    inputs = probe_inputs(prepare_tokenizer(sentences.tokenizer), contract.tokens)
    expected = engine_outputs(engine, inputs)
    make_folder(output)
    return write_model(
        output,
        contract,
        replace(sentences, graph=sentences_at(widen_weights(sentences.graph), precision)),
        replace(relations, graph=relations_at(widen_weights(relations.graph), precision)),
        lambda draft: check_parity(draft, precision, inputs, expected, str(source)),
    )


def converted_contract(contract: Contract, precision: Precision, source: Path) -> Contract:
    """Return the contract of a model at another precision."""
    if contract.precision not in _WIDE:
        raise ModelError(
            f"{source}: computes in less than 32 bits ({contract.precision}), so nothing else can be made of it; "
            f"give a model of one of {', '.join(_WIDE)}"
        )
    return replace(
        contract,
        precision=precision,
        fingerprint=_derived(contract.fingerprint, precision),
        vectors=_derived(contract.vectors_fingerprint, precision),
    )


def _derived(fingerprint: str, precision: Precision) -> str:
    return hashlib.sha256(f"{fingerprint} converted to {precision}".encode()).hexdigest()[:32]


def _read_half(path: Path) -> ModelHalf:
    """Return a file's graph and tokenizer, as they are."""
    graph = onnx.load(str(path))
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    return ModelHalf(graph, read_tokenizer(metadata.get(TOKENIZER_KEY, ""), str(path)))
