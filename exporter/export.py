"""A run directory becomes two ONNX files that hold all that extraction needs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import onnx
from safetensors.torch import save
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from torch import nn

from zsre.exporter.dynamic import quantise_products
from zsre.exporter.graph import export_relations, export_sentences, save_model
from zsre.exporter.half import half_model
from zsre.exporter.parity import Parity, check_parity
from zsre.exporter.precision import FINE, STORAGE, Precision, store_weights
from zsre.relations.contract import (
    CONTRACT_KEY,
    RELATIONS_ROLE,
    ROLE_KEY,
    SENTENCES_ROLE,
    TOKENIZER_KEY,
    UNCALIBRATED,
    Calibration,
    Contract,
)
from zsre.relations.errors import OutputError
from zsre.runner.engine import relations_path
from zsre.trainer.model import SentenceModel
from zsre.trainer.relation_table import RelationEncoder
from zsre.trainer.setup import TrainedRun, load_run


@dataclass(frozen=True)
class Exported:
    """The two files, their sizes in bytes, and how close they come to the torch model."""

    model: Path
    relations: Path
    bytes: tuple[int, int]
    parity: Parity


def export_run(run_directory: Path, output: Path, precision: Precision) -> Exported:
    """Export a run's best epoch to ``output``, a name in ``.onnx``, and its ``.relations.onnx``; check both.

    The calibration is the run's, fitted by folds, if it has one. Raises OutputError if the files
    cannot be written and ModelError if the export differs from the torch model by more than its precision explains.
    """
    run = load_run(run_directory)
    encoder = run.relation_encoder()
    contract = run_contract(run, encoder, precision)
    relation_tokenizer = _relation_tokenizer(encoder.model)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        sentences = store_weights(sentence_graph(run.model, precision), STORAGE[precision])
        relations = export_relations(encoder.transformer, run.adapter)
        relations = store_weights(relations, STORAGE[precision], fine=(FINE,) if run.adapter else ())
        for graph, role, tokenizer, path in (
            (sentences, SENTENCES_ROLE, run.tokenizer, output),
            (relations, RELATIONS_ROLE, relation_tokenizer, relations_path(output)),
        ):
            add_metadata(graph, contract, role, tokenizer)
            save_model(graph, path)
    except OSError as error:
        raise OutputError(f"{error.filename or output}: cannot be written: {error.strerror}") from error
    parity = check_parity(run, encoder, output, precision)
    sizes = (output.stat().st_size, relations_path(output).stat().st_size)
    return Exported(output, relations_path(output), sizes, parity)


def sentence_graph(model: SentenceModel, precision: Precision) -> onnx.ModelProto:
    """Trace the sentence side, with whatever computes in less than 32 bits; what doesn't is yet to be stored small."""
    if precision == "cuda-fp16":
        return export_sentences(half_model(model))
    graph = export_sentences(model)
    return quantise_products(graph) if precision == "dynamic-int8" else graph


def run_contract(run: TrainedRun, relations: RelationEncoder, precision: Precision) -> Contract:
    """Return what an export of a run in this precision says of itself."""
    return make_contract(run, relations.transformer, precision, run.calibration or level_calibration(run))


def make_contract(run: TrainedRun, relations: nn.Module, precision: Precision, calibration: Calibration) -> Contract:
    """Return the contract of a run; its fingerprint covers the weights of both sides and every other field."""
    draft = Contract(
        name=run.config.name,
        fingerprint="",
        dimension=int(run.model.encoder.config.hidden_size),
        alpha=run.config.model.alpha,
        tokens=run.tokens,
        calibration=calibration,
        precision=precision,
        encoder=run.config.encoder,
        relation_encoder=run.config.relation_encoder_name,
        seen_relations=run.facts.seen_relations,
        seen_data=run.facts.seen_data,
    )
    sentence_side = {name: getattr(draft, name) for name in ("alpha", "encoder", "precision")}
    vectors = _digest(json.dumps([sentence_side, asdict(run.tokens)], sort_keys=True), run.model)
    draft = replace(draft, vectors=vectors)
    adapters = [run.adapter] if run.adapter else []
    return replace(draft, fingerprint=_digest(draft.to_json(), run.model, relations, *adapters))


def _digest(settings: str, *modules: nn.Module) -> str:
    """Return a hash over settings and weights."""
    digest = hashlib.sha256(settings.encode())
    for module in modules:
        digest.update(save({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}))
    return digest.hexdigest()[:32]


def level_calibration(run: TrainedRun) -> Calibration:
    """Return the calibration that the level loss learned, which has seen its own relations; folds do better."""
    if not run.config.level.weight:
        return UNCALIBRATED
    slope, level = run.facts.level_slope, run.facts.level
    return Calibration(slope, -slope * level, 0.5, "the level learned on the training relations")


def add_metadata(model: onnx.ModelProto, contract: Contract, role: str, tokenizer: Tokenizer) -> None:
    """Put everything that the runner needs into the file's metadata."""
    fields: Mapping[str, str] = {
        CONTRACT_KEY: contract.to_json(),
        ROLE_KEY: role,
        TOKENIZER_KEY: tokenizer.to_str(),
    }
    onnx.helper.set_model_props(model, dict(fields))
    model.producer_name, model.producer_version = "zsre", importlib.metadata.version("zsre")


def _relation_tokenizer(encoder: SentenceTransformer) -> Tokenizer:
    tokenizer = Tokenizer.from_str(encoder.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(int(encoder.get_max_seq_length() or 256))
    return tokenizer
