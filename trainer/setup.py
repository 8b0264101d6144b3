"""Everything a run needs, loaded and checked before the first step."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from zsre.relations.catalogue import CATALOGUE, is_catalogue
from zsre.relations.equivalents import equivalents_of
from zsre.relations.errors import ConfigError, UsageError
from zsre.relations.examples import LabelledSentence
from zsre.relations.relation import Relation
from zsre.relations.splits import Split, load_described, read_split
from zsre.relations.tokens import TokenRow, TokenRows, TokenSettings, token_rows
from zsre.relations.vectors import PairSentence
from zsre.trainer.checkpoint import TOKENIZER, Progress, RunFacts, write_text
from zsre.trainer.config import DataConfig, TrainConfig, find_data
from zsre.trainer.data import (
    PairSet,
    check_sources,
    choose_pairs,
    evaluation_pairs,
    read_sources,
    trainable_relations,
    warn_of_unstated,
)
from zsre.trainer.digest import reading_digest, weights_digest
from zsre.trainer.encoders import load_sentence_encoder
from zsre.trainer.model import SentenceModel
from zsre.trainer.objective import Objective
from zsre.trainer.relation_adapter import RelationAdapter, fit_adapter, write_adapter
from zsre.trainer.relation_table import RelationEncoder, RelationTable, build_table, check_widths, mean_blocks
from zsre.trainer.trained_run import ENCODER, TOKENS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validation:
    """Validation pairs, the relations to choose among, and their vectors (R, 3, D)."""

    examples: tuple[Sequence[PairSentence], Sequence[str]]
    relations: tuple[str, ...]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Setup:
    """A run ready to train.

    ``relation_encoder`` is the digest of its weights.
    ``untaught`` are tokens whose embeddings must learn even where the others are frozen; ``reading`` is the
    `zsre.trainer.digest.reading_digest` of what was read.
    """

    config: TrainConfig
    device: torch.device
    model: SentenceModel
    objective: Objective
    tokenizer: Tokenizer
    tokens: TokenSettings
    untaught: tuple[int, ...]
    pairs: PairSet
    rows: tuple[TokenRow, ...]
    table: RelationTable
    mean_table: Tensor
    adapter: RelationAdapter | None
    validation: Validation | None
    relation_encoder: str
    reading: str

    def facts(self, progress: Progress) -> RunFacts:
        """Return what the run directory records of itself."""
        return RunFacts(
            seen_relations=self.pairs.relations,
            seen_data=tuple(self.pairs.source_counts),
            pairs=self.pairs.source_counts,
            level_slope=float(self.objective.log_slope.exp().detach()),
            level=float(self.objective.level.detach()),
            best_epoch=progress.best_epoch,
            best_f1=progress.best_f1,
            relation_encoder=self.relation_encoder,
            zsre_version=importlib.metadata.version("zsre"),
            torch_version=torch.__version__,
        )

    def data_digest(self) -> str:
        """Return what tells the rows, the targets and the encoder of relation texts from others."""
        told = hashlib.sha256(json.dumps([self.pairs.relations, self.relation_encoder]).encode())
        for targets in (self.pairs.stated, self.pairs.negative):
            told.update(np.packbits(targets).tobytes())
        for row in self.rows:
            told.update(np.asarray(row.ids, dtype=np.int64).tobytes())
        return told.hexdigest()[:32]


def choose_device(name: str) -> torch.device:
    """Return the device asked for; ``auto`` takes CUDA where there is one."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError("--device cuda: torch sees no CUDA device; use --device cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def check_together(config: TrainConfig) -> None:
    """Raise ConfigError for fields that are fine each, but not beside one another."""
    if config.beyond_split and not config.split:
        raise ConfigError("beyond_split: there is no split to go beyond; set split, or leave this out")
    if config.texts.adapter and config.model.alpha in (0, 0.5):
        raise ConfigError(
            f"texts.adapter: tells wordings apart by head, tail and context, and with model.alpha {config.model.alpha} "
            "not all of them count; set alpha between 0 and 0.5, or leave the adapter out"
        )
    if config.texts.phrasings == "mean" and (config.texts.drop_terms or config.texts.noise):
        raise ConfigError(
            "texts.drop_terms, texts.noise: change texts as they are drawn, and with texts.phrasings 'mean' none is; "
            "set phrasings to sample or mix, or leave these out"
        )
    for source in config.calibration.data:
        if source != DataConfig(source.path, source.format):
            raise ConfigError(
                f"calibration.data: {source.path}: all pairs are scored that somebody decided on, so give path and "
                "format alone"
            )


def choose_validation(config: TrainConfig, split: Split | None) -> tuple[str, ...]:
    """Return the relations that choose the epoch; raise ConfigError if the split tests one of them."""
    chosen = config.eval.relations or (split.eval if split else ())
    if split and (tested := [relation for relation in chosen if relation in split.test]):
        raise ConfigError(
            f"eval.relations: {config.split} tests {', '.join(tested[:5])}, and no epoch may be chosen on what it "
            "tests; give other relations, or leave eval.relations out"
        )
    return chosen


def check_rows(rows: TokenRows, pairs: PairSet, max_tokens: int) -> None:
    """Raise ConfigError if no pair is left that states something, and say how many cannot be read."""
    read = [position for row in rows.rows for position in row.pair_positions]
    if not pairs.stated[read].any():
        raise ConfigError(
            f"max_tokens: of the pairs that state a relation, none can be read within {max_tokens} tokens; allow more"
        )
    for count, why in (
        (rows.too_long, f"lie further apart than {max_tokens} tokens"),
        (rows.no_tokens, "have no token"),
    ):
        if count:
            logger.info("%d pairs are left out, as their mentions %s", count, why)


def prepare(config: TrainConfig, device: torch.device) -> Setup:
    """Load data, encoders and relation texts; raise a ZsreError for whatever does not fit together."""
    # Calibration comes last, and hours are not to be lost over a file that is not there.
    check_sources(config.calibration.data)
    check_together(config)
    sources = read_sources(config.data)
    split = read_split(find_data(config.split)) if config.split else None
    texts = load_texts(config.texts.sources)
    validation_ids = choose_validation(config, split)
    held_out = frozenset(validation_ids) | frozenset(config.held_out)
    if split:
        held_out |= frozenset(split.eval) | frozenset(split.test)
    if config.beyond_split:
        held_out |= {other for relation in held_out for other in equivalents_of(relation)}
    warn_of_unstated(sources, config.held_out)
    stated = trainable_relations(sources)
    seen = choose_seen(None if config.beyond_split else split, stated, held_out, texts)
    torch.manual_seed(config.seed)
    encoder = load_sentence_encoder(config.encoder, config.model.pairing, config.max_tokens)
    relation_encoder = RelationEncoder(config.relation_encoder_name, str(device))
    check_widths(encoder.width, relation_encoder)
    symmetric = symmetric_ids(texts)
    pairs = choose_pairs(sources, seen, held_out, symmetric, config.seed)
    rows = token_rows(pairs.sentences, encoder.tokenizer, encoder.tokens)
    check_rows(rows, pairs, encoder.tokens.max_tokens)
    table = build_table(
        pairs.relations, [texts[relation] for relation in pairs.relations], relation_encoder, config.model.alpha, device
    )
    adapter = (
        None if config.texts.adapter is None else fit_adapter(table, table.target(config.texts), config.texts.adapter)
    )
    relation_encoder.adapter = adapter
    validation = None
    if validation_ids:
        validation = prepare_validation(config, sources, validation_ids, texts, relation_encoder)
    model = SentenceModel(encoder.model, config.model, len(pairs.relations)).to(device)
    logger.info("%s: %.2f M parameters, %d rows", config.name, count_parameters(model) / 1e6, len(rows.rows))
    return Setup(
        config=config,
        device=device,
        model=model,
        objective=Objective(config.contrast, config.ranking, config.level).to(device),
        tokenizer=encoder.tokenizer,
        tokens=encoder.tokens,
        untaught=encoder.untaught,
        pairs=pairs,
        rows=rows.rows,
        table=table,
        mean_table=table.mean(),
        adapter=adapter,
        validation=validation,
        relation_encoder=weights_digest(relation_encoder.transformer),
        reading=reading_digest((labelled for _, labelled in sources), texts, stated, validation_ids),
    )


def prepare_validation(
    config: TrainConfig,
    sources: Sequence[tuple[DataConfig, Sequence[LabelledSentence]]],
    relations: Sequence[str],
    texts: Mapping[str, Sequence[Relation]],
    encoder: RelationEncoder,
) -> Validation:
    """Gather what validation needs; raise ConfigError for a relation without a text, or if the data states none."""
    require_texts(relations, texts)
    examples = evaluation_pairs(sources, relations, config.eval.per_relation, config.seed)
    if not examples[0]:
        raise ConfigError(
            f"the data states none of the validation relations ({', '.join(relations[:5])}): give others in "
            "eval.relations, or add their data"
        )
    vectors = mean_blocks([texts[relation] for relation in relations], encoder, config.model.alpha)
    return Validation(examples, tuple(relations), vectors)


def write_encoder_files(setup: Setup, directory: Path) -> None:
    """Write what turns text into the model's input: tokenizer, token settings, the encoder's architecture, adapter."""
    write_text(directory / TOKENIZER, setup.tokenizer.to_str())
    write_text(directory / TOKENS, json.dumps({name: getattr(setup.tokens, name) for name in setup.tokens.__slots__}))
    setup.model.encoder.config.save_pretrained(directory / ENCODER)
    if setup.adapter is not None:
        write_adapter(setup.adapter, directory)


def choose_seen(
    split: Split | None, stated: Collection[str], held_out: frozenset[str], texts: Mapping[str, Sequence[Relation]]
) -> tuple[str, ...]:
    """Return the relations to train on: those ``stated`` by the data, of the split if there is one, not held out.

    Raises ConfigError for a relation of the split that no text describes.
    """
    if split:
        require_texts(split.train, texts)
    wanted = split.train if split else tuple(sorted(stated))
    if missing := [relation for relation in wanted if relation not in texts]:
        logger.warning("%d relations of the data have no text and are left out: %s", len(missing), ", ".join(missing))
    return tuple(
        relation for relation in wanted if relation in texts and relation not in held_out and relation in stated
    )


def require_texts(relations: Iterable[str], texts: Mapping[str, Sequence[Relation]]) -> None:
    """Raise ConfigError unless every relation has a text."""
    if missing := [relation for relation in relations if relation not in texts]:
        raise ConfigError(f"no text describes {', '.join(missing[:5])}: add a source to texts.sources")


def symmetric_ids(texts: Mapping[str, Sequence[Relation]]) -> set[str]:
    """Return the relations that hold both ways, as texts say or the catalogue: published texts say nothing of it."""
    described = (*load_described(CATALOGUE), *(relation for found in texts.values() for relation in found))
    return {relation.id for relation in described if relation.symmetric}


def load_texts(sources: Sequence[str]) -> dict[str, list[Relation]]:
    """Return the phrasings of each relation, in the order of the sources that have it."""
    found: dict[str, list[Relation]] = {}
    for source in sources:
        relations = load_described(source if is_catalogue(source) else str(find_data(source)))
        for relation in relations:
            found.setdefault(relation.id, []).append(relation)
    return found


def count_parameters(model: SentenceModel) -> int:
    """Count the parameters of the sentence side; the frozen relation encoder is not among them (Table 5)."""
    return sum(parameter.numel() for parameter in model.parameters())
