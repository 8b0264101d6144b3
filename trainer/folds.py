"""Calibration by folds: how probable a triple is at a similarity, for relations that a model has not seen.

The seen relations are dealt into folds; a model of the same recipe is trained without each, and scores every
pair of densely annotated text against the relations of its fold whose types fit. The pooled similarities, with
whether the text states the relation, fit one logistic curve for the final model.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from zsre.relations.contract import Calibration
from zsre.relations.equivalents import equivalents_of
from zsre.relations.errors import ConfigError
from zsre.relations.examples import LabelledSentence
from zsre.relations.logistic import fit_logistic
from zsre.relations.metrics import LIKELY, expected_calibration_error
from zsre.relations.relation import Relation
from zsre.relations.vectors import PairSentence
from zsre.trainer.beginning import (
    CALIBRATION_READING,
    check_calibration_reading,
    held,
    read_reading,
    start_run,
    write_reading,
)
from zsre.trainer.checkpoint import (
    CALIBRATION,
    drop_checkpoint,
    is_calibrated,
    is_finished,
    is_started,
    read_run,
    write_calibration,
)
from zsre.trainer.config import CalibrationConfig, TrainConfig
from zsre.trainer.data import read_sources, relations_of
from zsre.trainer.digest import calibration_digest
from zsre.trainer.loop import Status, fit
from zsre.trainer.setup import load_texts, prepare
from zsre.trainer.trained_run import load_run
from zsre.trainer.validate import encode_pairs

logger = logging.getLogger(__name__)
FOLDS: Final = "folds"


def dealt_folds(config: TrainConfig, relations: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the folds of a run that sees these relations; raise ConfigError if there are too many folds for them."""
    folds = deal_folds(relations, config.calibration.folds, config.seed)
    if not all(folds):
        raise ConfigError(
            f"calibration.folds: {len(folds)} folds are more than {len(relations)} relations, with those "
            "of one meaning kept together, can be dealt into; ask for fewer"
        )
    return folds


def deal_folds(relations: Iterable[str], count: int, seed: int) -> list[tuple[str, ...]]:
    """Deal relations into folds of like size, keeping those of one meaning (and inverses) together."""
    left = sorted(relations)
    groups: list[list[str]] = []
    while left:
        group = [left.pop(0)]
        for relation in group:
            alike = [other for other in left if other in equivalents_of(relation, "same")]
            group.extend(alike)
            left = [other for other in left if other not in alike]
        groups.append(group)
    random.Random(seed).shuffle(groups)
    folds: list[list[str]] = [[] for _ in range(count)]
    for group in groups:
        min(folds, key=len).extend(group)
    return [tuple(fold) for fold in folds]


def read_calibration_data(config: TrainConfig, relations: Sequence[str]) -> tuple[list[LabelledSentence], str]:
    """Return what a run of these relations is calibrated on, and the digest of that with their texts.

    Raises ConfigError if it states none of the relations.
    """
    sources = [labelled for _, labelled in read_sources(config.calibration.data)]
    sentences = [sentence for labelled in sources for sentence in labelled]
    stated = relations_of(sentences)
    if not stated.keys() & set(relations):
        raise ConfigError(
            f"calibration.data: states none of the {len(relations)} relations that are trained on, as "
            f"{', '.join(relations[:5])}; it states {', '.join(sorted(stated)[:5]) or 'nothing'}: give data with these "
            "ids, or leave it out"
        )
    return sentences, calibration_digest(sources, load_texts(config.texts.sources), relations)


def lacks_calibration(config: TrainConfig, directory: Path) -> bool:
    """Tell whether a run is to be calibrated, and is not yet."""
    return bool(config.calibration.data) and not is_calibrated(directory)


def calibrate(
    config: TrainConfig, directory: Path, device: torch.device, show: Callable[[Status], None]
) -> Calibration:
    """Cross-fit the calibration of a finished run and write it into the run directory.

    Fold models live under ``folds/``; those that are finished are not trained again. Raises ConfigError without
    ``calibration.data``, ModelError if the run began with other calibration data.
    """
    if not config.calibration.data:
        raise ConfigError("calibration needs densely annotated text: set calibration.data")
    _, facts = read_run(directory)
    folds = dealt_folds(config, facts.seen_relations)
    labelled, reading = read_calibration_data(config, facts.seen_relations)
    check_calibration_reading(directory, reading)
    similarities, correct = [], []
    for number, fold in enumerate(folds):
        folder = directory / FOLDS / str(number)
        train_fold(config, folder, fold, device, show, read_reading(directory))
        sample = score_fold(folder, labelled, fold, device)
        similarities.append(sample[0])
        correct.append(sample[1])
    calibration = fit_calibration(np.concatenate(similarities), np.concatenate(correct))
    fitted_on = (
        f"{len(np.concatenate(correct))} pairs, relations of fitting types and phrasings of these, from "
        f"{', '.join(data.path for data in config.calibration.data)}, {len(folds)} folds of relations held out, "
        + crossed_error(similarities, correct)
    )
    calibration = dataclasses.replace(calibration, threshold=config.calibration.threshold, fitted_on=fitted_on)
    write_reading(directory, reading, CALIBRATION_READING)
    write_calibration(directory, calibration)
    logger.info("%s: slope %.2f, intercept %.2f; %s", CALIBRATION, calibration.slope, calibration.intercept, fitted_on)
    return calibration


def train_fold(
    config: TrainConfig,
    directory: Path,
    fold: tuple[str, ...],
    device: torch.device,
    show: Callable[[Status], None],
    reading: str | None = None,
) -> None:
    """Train a model without a fold, or go on with it, unless it is finished; hold its directory meanwhile.

    ``reading`` is the digest of what the run itself read; raises ModelError if the fold's model were to read anything
    else.
    """
    if is_finished(directory):
        drop_checkpoint(directory)
        return
    logger.info("fold %s: without %s", directory.name, ", ".join(fold))
    without = fold_config(config, directory, fold)
    with held(directory, new=not is_started(directory)):
        setup = prepare(without, device)
        if not is_started(directory):
            start_run(directory, without, reading)
        fit(setup, directory, show)


def fold_config(config: TrainConfig, directory: Path, fold: tuple[str, ...]) -> TrainConfig:
    """Return the configuration of the model without a fold, which is not calibrated itself."""
    name = f"{config.name}-fold-{directory.name}"
    held_out = (*config.held_out, *fold)
    return dataclasses.replace(config, held_out=held_out, name=name, calibration=CalibrationConfig())


def score_fold(
    directory: Path, labelled: Sequence[LabelledSentence], fold: tuple[str, ...], device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Score all pairs against those relations of the fold that the text is annotated with and whose types fit.

    A pair and a relation that nobody decided on are left out. Nothing comes of a fold that the text is not
    annotated with. A relation counts in every phrasing that it has, as the fold's model has met none of them.
    """
    run = load_run(directory)
    model = run.model.to(device)
    texts = load_texts(run.config.texts.sources)
    annotated = relations_of(labelled)
    relations = [phrasing for relation in fold if annotated[relation] for phrasing in texts[relation]]
    if not relations:
        return np.empty(0, dtype=np.float32), np.empty(0, dtype=np.bool_)
    vectors = run.relation_encoder(str(device)).blocks(relations, run.config.model.alpha)
    encoded = encode_pairs(model, run.tokenizer, run.tokens, pair_sentences(labelled))
    # Of the sources, the first is the one that has types.
    typed = [texts[relation.id][0] for relation in relations]
    allowed, correct = label_masks(labelled, encoded.kept, typed)
    similarities = encoded.similarities(vectors).sum(-1)
    return similarities[allowed], correct[allowed]


def pair_sentences(labelled: Sequence[LabelledSentence]) -> list[PairSentence]:
    """Return sentences with their labelled pairs, those without any left out."""
    return [
        PairSentence(sentence.text, sentence.mentions, tuple((pair.head, pair.tail) for pair in sentence.pairs))
        for sentence in labelled
        if sentence.pairs
    ]


def label_masks(
    labelled: Sequence[LabelledSentence], kept: NDArray[np.int64], relations: Sequence[Relation]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which relations are to be judged, and which are right, (P, R), for those pairs that were ``kept``.

    To be judged are those that somebody decided on, and whose types fit.
    """
    pairs = [(sentence, pair) for sentence in labelled for pair in sentence.pairs]
    allowed = np.zeros((len(kept), len(relations)), dtype=np.bool_)
    correct = np.zeros_like(allowed)
    for row, position in enumerate(kept):
        sentence, pair = pairs[position]
        head_type, tail_type = sentence.mentions[pair.head].type, sentence.mentions[pair.tail].type
        for column, relation in enumerate(relations):
            decided = pair.looked_for is None or relation.id in pair.looked_for
            allowed[row, column] = decided and relation.allows(head_type, tail_type)
            correct[row, column] = relation.id in pair.relations
    return allowed, correct


def crossed_error(similarities: Sequence[NDArray[np.float32]], correct: Sequence[NDArray[np.bool_]]) -> str:
    """Tell the expected calibration error of each fold's likely pairs by a calibration that the other folds fitted.

    Its own fit says little of a sample, and of millions of pairs nearly all score next to nothing.
    """
    scores, right = [], []
    for number, own in enumerate(similarities):
        others = [fold for fold in range(len(similarities)) if fold != number]
        try:
            rest = (np.concatenate([each[fold] for fold in others]) for each in (similarities, correct))
            fitted = fit_calibration(*rest)
        except ConfigError:
            return "no expected calibration error, as not every fold can be left out"
        probability = fitted.probability(own)
        likely = probability >= LIKELY
        scores.append(probability[likely])
        right.append(correct[number][likely])
    found = np.concatenate(scores)
    if not len(found):
        return f"no pair of which scores {LIKELY} or more by the others"
    error = expected_calibration_error(found, np.concatenate(right))
    likely_pairs = f"the {len(found)} pairs that score {LIKELY} or more"
    return f"expected calibration error {error:.4f} of {likely_pairs}, each fold by the others"


def fit_calibration(similarities: NDArray[np.float32], correct: NDArray[np.bool_]) -> Calibration:
    """Fit σ(slope · similarity + intercept) by maximum likelihood.

    Raises ConfigError if the sample holds no right or no wrong triple, or if similarity says nothing.
    """
    if correct.all() or not correct.any():
        raise ConfigError("the calibration data states none, or all, of the held-out relations: nothing to fit")
    slope, intercept = fit_logistic(similarities, correct)
    if not slope > 0:  # nor is NaN
        raise ConfigError(f"similarity does not tell right triples from wrong ones (slope {slope:.2f})")
    return Calibration(slope, intercept)
