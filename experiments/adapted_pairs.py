"""What the adapter is worth on labelled pairs: the second part of results/wordings.md.

Of a run that was calibrated by folds, each fold's model scores the pairs of a text against relations that it knows,
and against those of its fold, with adapters of several settings: they are solved in closed form, and the sentence
encoder was trained without them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from zsre.relations.examples import LabelledSentence
from zsre.relations.relation import Relation
from zsre.relations.vectors import PairVectors
from zsre.trainer.config import AdapterConfig, DataConfig, TrainConfig
from zsre.trainer.data import read_sources, relations_of
from zsre.trainer.folds import FOLDS, label_masks, pair_sentences
from zsre.trainer.relation_adapter import fit_adapter
from zsre.trainer.relation_table import RelationEncoder, build_table
from zsre.trainer.setup import load_texts
from zsre.trainer.trained_run import load_run
from zsre.trainer.validate import encode_pairs

#: Documents that no figure of unseen relations is measured on.
DATA: Final = "redocred/dev.json.gz"
SETTINGS: Final = (
    None,
    *(AdapterConfig(0.03, width) for width in (0.05, 0.1, 0.15, 0.2, 0.4)),
    *(AdapterConfig(ridge, 0.15) for ridge in (0.01, 0.1)),
)
COLUMNS: Final = ("known: the catalogue's", "known: others", "unknown: the catalogue's", "unknown: others")
INTRODUCTION: Final = """\
## On labelled pairs

`{command}`: each fold's model, trained on the relations outside its fold,
scores the pairs of {data}, text that it was trained on. F1 at the threshold that suits best, in percent, the
mean over {count} folds. *Known* relations are those that the model was trained on, in the catalogue's words, and in
those of one file after another, to which the adapter was not fitted then. *Unknown* ones are those of the fold.
"""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """Relations that pairs are compared with: which of them are to be judged, and which are right, (P, R) each."""

    relations: Sequence[str]
    allowed: NDArray[np.bool_]
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class Fold:
    """The pairs of a text as a fold's model has encoded them, and the relations that it knows and doesn't know."""

    pairs: PairVectors
    encoder: RelationEncoder
    config: TrainConfig
    seen: Sequence[str]
    known: Asked
    unknown: Asked


def pair_tables(run: Path, left_out: Sequence[str], command: str) -> Iterator[str]:
    """Yield the lines of this part of the page; ``left_out`` are the files whose wordings are left out in turn."""
    labelled = [sentence for _, source in read_sources((DataConfig(path=DATA),)) for sentence in source]
    folders = sorted((run / FOLDS).iterdir())
    found = []
    for folder in folders:
        logger.info("%s: pairs of %s", folder, DATA)
        found.append(measure(encode_fold(folder, labelled), left_out))
    yield INTRODUCTION.format(command=command, data=DATA, count=len(folders))
    yield "| ridge, width | " + " | ".join(COLUMNS) + " |"
    yield "| --- |" + " --- |" * len(COLUMNS)
    for setting, row in zip(SETTINGS, np.mean(found, axis=0), strict=True):
        title = "no adapter" if setting is None else f"{setting.ridge}, {setting.width}"
        yield f"| {title} | " + " | ".join(f"{100 * figure:.1f}" for figure in row) + " |"


def encode_fold(folder: Path, labelled: Sequence[LabelledSentence]) -> Fold:
    """Encode the pairs of a text with a fold's model."""
    run = load_run(folder)
    pairs = encode_pairs(run.model, run.tokenizer, run.tokens, pair_sentences(labelled))
    texts = load_texts(run.config.texts.sources)
    stated = relations_of(labelled).keys() & texts.keys()

    def asked(relations: Set[str]) -> Asked:
        chosen = sorted(relations)
        return Asked(chosen, *label_masks(labelled, pairs.kept, [texts[own][0] for own in chosen]))

    seen = run.facts.seen_relations
    encoder = RelationEncoder(run.config.relation_encoder_name)
    return Fold(pairs, encoder, run.config, seen, asked(stated.intersection(seen)), asked(stated.difference(seen)))


def measure(fold: Fold, left_out: Sequence[str]) -> NDArray[np.float64]:
    """Return the best F1 for each of `SETTINGS` and `COLUMNS`; of other wordings, the mean over those left out."""
    sources = fold.config.texts.sources
    usual = best_figures(fold, sources, sources[0])
    others = [best_figures(fold, [own for own in sources if own != file], file) for file in left_out]
    return np.stack([usual, np.mean(others, axis=0)], axis=-1).reshape(len(SETTINGS), len(COLUMNS))


def best_figures(fold: Fold, sources: Sequence[str], wording: str) -> NDArray[np.float64]:
    """Return the best F1 (S, 2) for each of `SETTINGS`, known and unknown relations.

    The adapter is fitted to the known relations in the wordings of ``sources``; all are asked for in another wording.
    """
    texts, words = load_texts(sources), load_texts([wording])
    phrasings = [texts[relation] for relation in fold.seen]
    table = build_table(fold.seen, phrasings, fold.encoder, fold.config.model.alpha, torch.device("cpu"))
    found = []
    for setting in SETTINGS:
        adapter = None if setting is None else fit_adapter(table, table.target(fold.config.texts), setting)
        fold.encoder.adapter = adapter
        found.append([best_f1(fold, asked, words) for asked in (fold.known, fold.unknown)])
    fold.encoder.adapter = None
    return np.asarray(found)


def best_f1(fold: Fold, asked: Asked, words: Mapping[str, Sequence[Relation]]) -> float:
    """Return F1 at the threshold that suits relations best; those that ``words`` lacks are left out."""
    columns = [column for column, relation in enumerate(asked.relations) if relation in words]
    blocks = fold.encoder.blocks([words[asked.relations[column]][0] for column in columns], fold.config.model.alpha)
    allowed, correct = asked.allowed[:, columns], asked.correct[:, columns]
    similarities = fold.pairs.similarities(blocks).sum(-1)[allowed]
    right = np.cumsum(correct[allowed][np.argsort(-similarities, kind="stable")])
    return float((2 * right / (np.arange(1, len(right) + 1) + correct.sum())).max())
