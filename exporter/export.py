"""A run directory becomes two ONNX files that hold all that extraction needs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from torch import nn

from zsre.exporter.files import Exported, ModelHalf, make_folder, write_model
from zsre.exporter.graph import export_relations, export_sentences
from zsre.exporter.parity import Outputs, check_parity, probe_inputs, probe_relations
from zsre.exporter.precision import Precision, relations_at, sentences_at
from zsre.relations.contract import UNCALIBRATED, Calibration, Contract
from zsre.relations.tokens import EncoderInputs
from zsre.trainer.relation_table import RelationEncoder
from zsre.trainer.trained_run import TrainedRun, load_run


def export_run(run_directory: Path, output: Path, precision: Precision) -> Exported:
    """Export a run's best epoch to ``output``, a name in ``.onnx``, and its ``.relations.onnx``; check both first.

    The calibration is the run's, fitted by folds, if it has one. Raises OutputError if the files
    cannot be written and ModelError if the export differs from the torch model by more than its precision explains.
    """
    run = load_run(run_directory)
    encoder = run.relation_encoder()
    contract = run_contract(run, encoder, precision)
    relation_tokenizer = _relation_tokenizer(encoder.model)
    make_folder(output)
    sentences = sentences_at(export_sentences(run.model), precision)
    relations = relations_at(export_relations(encoder.transformer, run.adapter), precision)
    inputs = probe_inputs(run.tokenizer, run.tokens)
    expected = torch_outputs(run, encoder, inputs)
    return write_model(
        output,
        contract,
        ModelHalf(sentences, run.tokenizer),
        ModelHalf(relations, relation_tokenizer),
        lambda draft: check_parity(draft, precision, inputs, expected, "the torch model"),
    )


def torch_outputs(run: TrainedRun, encoder: RelationEncoder, inputs: EncoderInputs) -> Outputs:
    """Return what the torch model makes of the sentences and relations that exports are compared on."""
    arrays = (inputs.input_ids, inputs.attention_mask, inputs.mentions, inputs.pairs)
    with torch.inference_mode():
        output = run.model(*(torch.from_numpy(array) for array in arrays))
    relations = encoder.blocks(list(probe_relations()), run.config.model.alpha)
    return Outputs(output.mention_vectors_MD.numpy(), output.context_vectors_PD.numpy(), relations)


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


def _relation_tokenizer(encoder: SentenceTransformer) -> Tokenizer:
    tokenizer = Tokenizer.from_str(encoder.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(int(encoder.get_max_seq_length() or 256))
    return tokenizer
