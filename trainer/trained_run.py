"""A run directory as export and measuring load it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel

from zsre.relations.contract import Calibration
from zsre.relations.errors import ModelError
from zsre.relations.places import looked_at
from zsre.relations.tokens import TokenSettings, prepare_tokenizer, read_tokenizer
from zsre.trainer.checkpoint import TOKENIZER, WEIGHTS, RunFacts, read_calibration, read_run, read_text
from zsre.trainer.config import TrainConfig
from zsre.trainer.digest import weights_digest
from zsre.trainer.encoders import DAMAGED, attention_options, first_line
from zsre.trainer.model import SentenceModel
from zsre.trainer.relation_adapter import RelationAdapter, read_adapter
from zsre.trainer.relation_table import RelationEncoder

TOKENS, ENCODER = "tokens.json", "encoder"


@dataclass(frozen=True)
class TrainedRun:
    """A run directory loaded for export or measuring, in evaluation mode on the CPU."""

    directory: Path
    config: TrainConfig
    facts: RunFacts
    model: SentenceModel
    tokenizer: Tokenizer
    tokens: TokenSettings
    calibration: Calibration | None
    adapter: RelationAdapter | None = None

    def relation_encoder(self, device: str = "cpu") -> RelationEncoder:
        """Load the relation encoder, with the run's adapter; raise ModelError if it is not that of training."""
        encoder = RelationEncoder(self.config.relation_encoder_name, device, self.adapter)
        if self.facts.relation_encoder not in ("", weights_digest(encoder.transformer)):
            raise ModelError(
                f"relation encoder {encoder.name!r}: its weights are not those that {self.directory} was trained with; "
                "put back the former ones, or train again"
            )
        return encoder


def check_whole(directory: Path) -> None:
    """Raise ModelError for a run directory that lacks what it takes to load its model, as if copied in part."""
    files = (TOKENIZER, TOKENS, f"{ENCODER}/config.json")
    with looked_at(directory, ModelError):
        missing = [name for name in files if not (directory / name).is_file()]
    if missing:
        raise ModelError(f"{directory}: {', '.join(missing)} missing; a run is its whole folder, so copy all of it")


def load_run(directory: Path) -> TrainedRun:
    """Load a run's best epoch; raise ModelError if there is none, or if files of the run are missing or cut short."""
    config, facts = read_run(directory)
    check_whole(directory)
    try:
        options = attention_options(str(directory / ENCODER))
        encoder_config = AutoConfig.from_pretrained(directory / ENCODER, trust_remote_code=False)
        encoder = AutoModel.from_config(  # type: ignore[no-untyped-call]
            encoder_config, trust_remote_code=False, dtype=torch.float32, **options
        )
    except DAMAGED as error:
        raise ModelError(f"{directory / ENCODER}: cannot be loaded: {first_line(error)}") from error
    model = SentenceModel(encoder, config.model, len(facts.seen_relations))
    weights = directory / WEIGHTS
    try:
        with looked_at(weights, ModelError):
            model.load_state_dict(load_file(str(weights)))
    except (SafetensorError, RuntimeError) as error:
        raise ModelError(f"{weights}: damaged ({first_line(error)}); copy it again, or train again") from error
    try:
        fields = json.loads(read_text(directory / TOKENS) or "")
        tokens = TokenSettings(**{**fields, "markers": tuple(fields["markers"])})
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{directory / TOKENS}: damaged ({error}); copy it again, or train again") from error
    path = directory / TOKENIZER
    tokenizer = prepare_tokenizer(read_tokenizer(read_text(path) or "", str(path)))
    adapter = None if config.texts.adapter is None else read_adapter(directory)
    return TrainedRun(directory, config, facts, model.eval(), tokenizer, tokens, read_calibration(directory), adapter)
