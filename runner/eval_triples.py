"""What ``zsre-eval`` does with extracted triples: it measures them, and fits scores and thresholds to them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from zsre.relations.equivalents import seen_overlap
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledSentence
from zsre.relations.readers import read_labelled
from zsre.relations.relation import OwnCalibration, RelationSet, understood_types
from zsre.relations.relations_edit import check_editable, write_thresholds
from zsre.relations.relations_file import check_types
from zsre.runner.calibrate import CrossValidated, Fitted, cross_validate, fit
from zsre.runner.entities import load_annotator
from zsre.runner.evaluate import open_training, read_training, sentence_key, some
from zsre.runner.flags import DEFAULT_ENTITIES
from zsre.runner.gold import decided_relations
from zsre.runner.job import Job
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.scorer import load_scorer
from zsre.runner.triple_eval import Measured, measure
from zsre.runner.triple_metrics import Judged
from zsre.runner.triple_report import TripleEvaluation


@dataclass(frozen=True)
class Calibrated:
    """What was fitted to labelled text, what it does for other texts like it, and the relations file written."""

    job: Job
    measured: Measured
    fitted: Fitted
    validated: CrossValidated
    texts: int
    written: RelationSet
    target_precision: float | None = None

    @property
    def short(self) -> bool:
        """Tell whether less is right on other text than was asked for."""
        return self.target_precision is not None and self.validated.counted.micro.precision < self.target_precision

    @property
    def unmet(self) -> str:
        """Return what a person is told of labels that nothing could be fitted to; empty if there are none."""
        return _unmet_labels(self.measured)


def measure_triples(arguments: argparse.Namespace, relations: RelationSet) -> TripleEvaluation:
    """Judge what extraction writes for labelled texts."""
    texts = list(read_labelled(arguments.data, arguments.format, "--format"))
    sources = open_training(arguments.training_data or (), arguments.training_format)
    with _open_job(arguments, relations, texts) as job:
        training = read_training(sources, job.engine.contract)
        chosen = [text for text in texts if sentence_key(text.text) not in training.keys]
        if not chosen:
            raise DataError(
                f"{arguments.data}: all {len(texts):,} texts are among the training data ({some(training.names)}): "
                "measure on other data"
            )
        measured = _measure(arguments, job, chosen, texts)
    return TripleEvaluation(
        job=job,
        measured=measured,
        entities=arguments.entities or DEFAULT_ENTITIES,
        texts=len(chosen),
        overlap=seen_overlap(job.engine.contract.seen_relations, relations.ids),
        shared=len(texts) - len(chosen),
        training_data=training.names,
    )


def calibrate(arguments: argparse.Namespace, relations: RelationSet) -> Calibrated:
    """Fit scores and thresholds to labelled texts, and write them into a copy of the relations file.

    Whether that can be written is found out before anything is measured.
    """
    check_editable(Path(arguments.relations), arguments.output)
    texts = list(read_labelled(arguments.calibrate, arguments.format, "--format"))
    with _open_job(arguments, relations, texts, recalibrates=True) as job:
        measured = _measure(arguments, job, texts, texts, again=True)
        contract = job.engine.contract
    count, target = len(relations), arguments.target_precision
    least = contract.calibration.threshold if arguments.threshold is None else arguments.threshold
    keys = [sentence_key(text.text) for text in texts]

    def written_with(fitted: Fitted) -> Judged:
        assert measured.again is not None
        calibration = replace(job.rules.calibration, slope=fitted.slope, intercept=fitted.intercept)
        return measured.again(replace(job.rules, calibration=calibration, thresholds=fitted.thresholds))

    with _telling_unmet(measured):
        fitted = fit(measured.possible, count, least, target)
        validated = cross_validate(measured.possible, count, keys, least, target, arguments.seed, written_with)
    thresholds = dict(zip(relations.ids, fitted.thresholds.tolist(), strict=True))
    own = OwnCalibration(contract.fingerprint, round(fitted.slope, 6), round(fitted.intercept, 6))
    written = write_thresholds(Path(arguments.relations), arguments.output, thresholds, own)
    return Calibrated(job, measured, fitted, validated, len(texts), written, target)


@contextmanager
def _telling_unmet(measured: Measured) -> Iterator[None]:
    """Add to an error of the fit that labels are missing from it, which may be all that is wrong."""
    try:
        yield
    except DataError as error:
        unmet = _unmet_labels(measured)
        raise DataError(f"{error}\n{unmet}" if unmet else str(error)) from error


def _unmet_labels(measured: Measured) -> str:
    if not measured.unmet:
        return ""
    return (
        f"{measured.unmet:,} of {measured.labels:,} labelled pairs and relations were no candidate: give the "
        "--spacy-model, --max-relations and model that the triples were extracted with, and check types"
    )


@contextmanager
def _open_job(
    arguments: argparse.Namespace,
    relations: RelationSet,
    texts: Sequence[LabelledSentence],
    recalibrates: bool = False,
) -> Iterator[Job]:
    with closing(load_annotator(arguments.spacy_model)) as annotator:
        if relations.type_lines:
            given = {mention.type for text in texts for mention in text.mentions if mention.type is not None}
            check_types(relations, understood_types(annotator.labels | given))
        scorer = load_scorer(arguments.model, arguments.device, arguments.threads)
        if recalibrates and relations.calibration and relations.calibration.model != scorer.contract.fingerprint:
            relations = _uncalibrated(relations)
        rules = make_rules(relations, scorer.contract, arguments.threshold, arguments.max_relations)
        yield Job(RecordSettings(), annotator, scorer, relations, rules, arguments.max_mentions)


def _uncalibrated(relations: RelationSet) -> RelationSet:
    """Return relations without a calibration, and without thresholds: those are on its scores."""
    plain = tuple(replace(relation, threshold=None) for relation in relations)
    return replace(relations, relations=plain, calibration=None)


def _measure(
    arguments: argparse.Namespace,
    job: Job,
    chosen: Sequence[LabelledSentence],
    texts: Sequence[LabelledSentence],
    again: bool = False,
) -> Measured:
    decided = decided_relations(texts)
    if not decided:
        raise DataError(
            f"{arguments.data or arguments.calibrate}: nothing in it is labelled: no pair states a relation, and "
            "nothing says which were looked for: give its pairs their relations, and looked_for or complete where a "
            "text states none (docs/eval.md)"
        )
    if not any(relation in decided for relation in job.relations.ids):
        raise DataError(
            f"the labels decide on none of the {len(job.relations)} relations ({some(job.relations.ids)}); they know "
            f"{some(sorted(decided))}: give relations with these ids"
        )
    with Console(stderr=True).status("measuring") as status:
        return measure(
            job,
            chosen,
            decided,
            arguments.entities or DEFAULT_ENTITIES,
            lambda done: status.update(f"measured {done:,} of {len(chosen):,} texts"),
            again,
        )
