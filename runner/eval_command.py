"""What ``zsre-eval`` does once its flags are known to be right: it measures, logs and prints."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial

from rich.console import Console

from zsre.relations.errors import DataError
from zsre.relations.readers import read_labelled
from zsre.relations.relation import RelationSet
from zsre.relations.splits import load_described, read_split
from zsre.relations.terminal import write_out, writing_out
from zsre.runner.calibration_report import calibration_figures, show_calibration
from zsre.runner.eval_log import append, log_facts
from zsre.runner.eval_report import figures, show
from zsre.runner.eval_triples import calibrate, measure_triples
from zsre.runner.evaluate import (
    Evaluation,
    Passed,
    evaluate,
    open_training,
    read_training,
    sample_per_relation,
    single_relation_pairs,
    some,
    without_shared,
)
from zsre.runner.scorer import Scorer, load_scorer
from zsre.runner.triple_report import show_triples, triple_figures


def run_eval(arguments: argparse.Namespace) -> None:
    """Load what is quick to fail first, then measure, log and print."""
    relations = wanted_relations(arguments)
    if arguments.log:
        append(arguments.log, "")
    console = Console()
    if arguments.calibrate:
        calibrated = calibrate(arguments, relations)
        found, tell = calibration_figures(calibrated), partial(show_calibration, console, calibrated)
    elif arguments.triples:
        triples = measure_triples(arguments, relations)
        found = triple_figures(triples, arguments.per_class)
        tell = partial(show_triples, console, triples, arguments.per_class)
    else:
        scorer, evaluation = classify(arguments, relations)
        found = figures(evaluation, scorer, arguments.per_class)
        tell = partial(show, console, evaluation, scorer, arguments.per_class)
    line = json.dumps({**log_facts(arguments), **found})
    try:
        if arguments.log:
            append(arguments.log, line + "\n")
    finally:
        # A log that takes no more is no reason to lose what was measured.
        if arguments.json:
            write_out(line + "\n")
        else:
            with writing_out(), console.capture() as captured:
                tell()
            write_out(captured.get())


def classify(arguments: argparse.Namespace, relations: RelationSet) -> tuple[Scorer, Evaluation]:
    """Measure which relation the model gives to each labelled pair."""
    sentences = read_labelled(arguments.data, arguments.format, "--format")
    sources = open_training(arguments.training_data or (), arguments.training_format)
    scorer = load_scorer(arguments.model, arguments.device, arguments.threads)
    training = read_training(sources, scorer.contract)
    passed = Passed(training_data=training.names)
    examples = single_relation_pairs(sentences, relations, passed)
    with Console(stderr=True).status("measuring") as status:
        if training.names:
            examples = without_shared(examples, training.keys, passed)
        if arguments.per_relation:
            examples = iter(sample_per_relation(examples, arguments.per_relation, arguments.seed, passed))
        evaluation = evaluate(
            scorer, examples, relations, passed, lambda done: status.update(f"measured {done:,} pairs")
        )
    return scorer, evaluation


def wanted_relations(arguments: argparse.Namespace) -> RelationSet:
    """Return the relations to choose among: those of the file, or of one part of a split."""
    relations = load_described(arguments.relations)
    if not arguments.split:
        return relations
    ids = getattr(read_split(arguments.split), arguments.part)
    if not ids:
        raise DataError(f"{arguments.split}: has no relations in its part '{arguments.part}': give another --part")
    missing = [relation for relation in ids if relation not in relations]
    if missing:
        raise DataError(f"{arguments.relations}: describes no {some(missing)}, which {arguments.split} asks for")
    return replace(relations, relations=tuple(relations[relation] for relation in ids))
