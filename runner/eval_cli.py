"""The ``zsre-eval`` command."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from zsre.relations.errors import DataError, UsageError, ZsreError
from zsre.relations.readers import read_labelled
from zsre.relations.relation import RelationSet
from zsre.relations.splits import load_described, read_split
from zsre.runner.evaluate import Evaluation, evaluate, sample_per_relation, single_relation_pairs, some
from zsre.runner.scorer import Scorer, load_scorer
from zsre.runner.session import DEVICES


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = argparse.ArgumentParser(
        prog="zsre-eval", description="Measure an exported model or a run directory on labelled data."
    )
    command.add_argument("model", type=Path, nargs="?", help="model.onnx or run directory (default: the shipped model)")
    command.add_argument("--data", type=Path, required=True, help="labelled data; its format is found by content")
    command.add_argument("--format", help="the data's format, if it is not found")
    command.add_argument("--relations", required=True, help="relations file, 'wikidata', or a published relations.json")
    command.add_argument("--split", type=Path, help="published split; --part says which of its relations to measure on")
    command.add_argument("--part", choices=("train", "eval", "test"), default="eval", help="default: eval")
    command.add_argument("--per-relation", type=int, metavar="N", help="at most N examples of each relation")
    command.add_argument("--seed", type=int, default=13, help="draws the examples of --per-relation (default: 13)")
    command.add_argument(
        "--log", type=Path, help="append date, commit and figures to this file; measuring on test relations demands it"
    )
    command.add_argument("--per-class", action="store_true", help="also show each relation's figures")
    command.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    command.add_argument("--device", choices=DEVICES, default="auto")
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    command.add_argument("--version", action="version", version=f"zsre {version('zsre')}")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        measure(arguments)
    except ZsreError as error:
        print(f"zsre-eval: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measure(arguments: argparse.Namespace) -> None:
    """Load, measure, print and log."""
    if arguments.split and arguments.part == "test" and not arguments.log:
        raise UsageError(
            "--part test: test relations are for reporting, never for choosing, so each measurement is logged: "
            "give --log FILE"
        )
    relations = wanted_relations(arguments)
    if not arguments.data.is_file():
        raise DataError(f"{arguments.data}: no such file")
    scorer = load_scorer(arguments.model, arguments.device, arguments.threads)
    examples = single_relation_pairs(read_labelled(arguments.data, arguments.format), relations)
    if arguments.per_relation:
        examples = sample_per_relation(examples, arguments.per_relation, arguments.seed)
    evaluation = evaluate(scorer, examples, relations)
    line = figures(arguments, scorer, evaluation)
    if arguments.log:
        with arguments.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    if arguments.json:
        print(json.dumps(line))
    else:
        show(evaluation, scorer, arguments.per_class)


def wanted_relations(arguments: argparse.Namespace) -> RelationSet:
    """Return the relations to choose among: those of the file, or of one part of a split."""
    relations = load_described(arguments.relations)
    if not arguments.split:
        return relations
    ids = getattr(read_split(arguments.split), arguments.part)
    missing = [relation for relation in ids if relation not in relations]
    if missing:
        raise DataError(f"{arguments.relations}: describes no {some(missing)}, which {arguments.split} asks for")
    return RelationSet(tuple(relations[relation] for relation in ids), relations.types, relations.source)


def figures(arguments: argparse.Namespace, scorer: Scorer, evaluation: Evaluation) -> dict[str, Any]:
    """Return what is logged: what was measured, when, on what, and the figures in percent."""
    report = evaluation.report
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": current_commit(),
        "model": scorer.name,
        "fingerprint": scorer.fingerprint,
        "data": arguments.data.name,
        "split": arguments.split.stem if arguments.split else None,
        "part": arguments.part if arguments.split else None,
        "relations": len(report.relations),
        "pairs": evaluation.pairs,
        "left_out": evaluation.left_out,
        "precision": round(100 * report.paper_precision, 2),
        "recall": round(100 * report.paper_recall, 2),
        "f1": round(100 * report.paper_f1, 2),
        "sklearn_macro_f1": round(100 * report.macro_f1, 2),
        "seen": sorted(evaluation.overlap.identical),
        "seen_by_other_name": {key: list(ids) for key, ids in evaluation.overlap.same.items() if key not in ids},
    }


def current_commit() -> str | None:
    """Return the commit of the working directory, with ``+`` if it has changes, or None outside of git."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def show(evaluation: Evaluation, scorer: Scorer, per_class: bool) -> None:
    """Print the figures for people."""
    console, report = Console(), evaluation.report
    console.print(f"{scorer.name}: {evaluation.pairs} pairs of {len(report.relations)} relations")
    if evaluation.left_out:
        console.print(f"{evaluation.left_out} pairs were left out: the model cannot read them")
    table = Table("", "precision", "recall", "F1")
    paper = (report.paper_precision, report.paper_recall, report.paper_f1)
    table.add_row("macro, as the paper", *(f"{100 * value:.2f}" for value in paper))
    table.add_row("macro F1, as scikit-learn", "", "", f"{100 * report.macro_f1:.2f}")
    console.print(table)
    if per_class:
        classes = Table("relation", "precision", "recall", "F1", "pairs")
        for relation, scores in report.relations.items():
            values = (scores.precision, scores.recall, scores.f1)
            classes.add_row(relation, *(f"{100 * value:.1f}" for value in values), str(scores.support))
        console.print(classes)
    for line in overlap_lines(evaluation):
        console.print(line)


def overlap_lines(evaluation: Evaluation) -> list[str]:
    """Say which of the measured relations the model had seen in training."""
    overlap = evaluation.overlap
    lines = []
    if overlap.identical:
        lines.append(f"seen in training, so not zero-shot: {', '.join(sorted(overlap.identical))}")
    renamed = {key: ids for key, ids in overlap.same.items() if key not in ids}
    if renamed:
        lines.append(
            "seen under another name: " + ", ".join(f"{key} ({'/'.join(ids)})" for key, ids in renamed.items())
        )
    if overlap.near:
        near = ", ".join(f"{key} ({'/'.join(ids)})" for key, ids in overlap.near.items())
        lines.append(f"close in meaning to one seen: {near}")
    return lines or ["none of these relations was seen in training, under any name"]


if __name__ == "__main__":
    sys.exit(main())
