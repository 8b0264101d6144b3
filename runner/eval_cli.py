"""The ``zsre-eval`` command."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from zsre.relations.command_line import CommandParser
from zsre.relations.errors import DataError, OutputError, UsageError
from zsre.relations.readers import FORMATS, read_labelled
from zsre.relations.relation import RelationSet
from zsre.relations.splits import load_described, read_split
from zsre.relations.terminal import write_out, writing_out
from zsre.runner.calibration_report import calibration_figures, show_calibration
from zsre.runner.entry import run_command
from zsre.runner.eval_report import figures, show
from zsre.runner.eval_triples import calibrate, check_calibration_flags, measure_triples
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
from zsre.runner.flags import add_flags, check_least
from zsre.runner.flags import check_flags as check_shared_flags
from zsre.runner.scorer import Scorer, load_scorer
from zsre.runner.session import DEVICES
from zsre.runner.triple_eval import DEFAULT_ENTITIES, ENTITIES
from zsre.runner.triple_report import show_triples, triple_figures

PROGRAM: Final = "zsre-eval"
DEFAULT_PART: Final = "eval"
SOURCE: Final = Path(__file__).resolve().parent


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = CommandParser(
        prog=PROGRAM,
        description="Measure an exported model or a run directory on labelled data.",
    )
    add = command.add_argument
    add("model", type=Path, nargs="?", help="model.onnx or run directory (default: the model that ships)")
    add("--data", type=Path, metavar="FILE", help="labelled data, plain or gzip")
    add("--format", metavar="NAME", help=f"the data's format: {', '.join(FORMATS)} (default: found by content)")
    add("--relations", required=True, metavar="FILE", help="relations file, wikidata, or a published relations.json")
    add("--split", type=Path, metavar="FILE", help="published split, to measure on a part of the relations")
    add("--part", choices=("train", "eval", "test"), help=f"part of the split (default: {DEFAULT_PART})")
    add(
        "--training-data",
        type=Path,
        action="append",
        metavar="FILE",
        help="labelled data that the model was trained on, whose sentences are left out; may be given again",
    )
    add("--training-format", metavar="NAME", help="format of all training data (default: found by content)")
    add("--per-relation", type=int, metavar="N", help="draw at most N pairs of each relation (default: all)")
    add("--seed", type=int, default=13, metavar="N", help="seed of the draw, and of folds (default: 13)")
    add("--triples", action="store_true", help="measure the triples that zsre-extract would write")
    add("--calibrate", type=Path, metavar="FILE", help="labelled data to fit scores and thresholds to")
    add("--output", "-o", type=Path, metavar="FILE", help="with --calibrate: where the relations file with them goes")
    add("--target-precision", type=float, metavar="P", help="with --calibrate: share of triples to be right")
    add("--entities", choices=ENTITIES, help=f"of triples: whose mentions are paired (default: {DEFAULT_ENTITIES})")
    add_flags(command, "--spacy-model", "--threshold", "--max-relations", "--max-mentions")
    add("--log", type=Path, metavar="FILE", help="append the figures to this file; --part test demands it")
    add("--per-class", action="store_true", help="give each relation's figures and confusions too")
    add("--json", action="store_true", help="print one line of JSON, as in the log")
    add("--device", choices=DEVICES, default="auto", help="what to run the model on (default: auto)")
    add("--threads", type=int, metavar="N", help="threads for an exported model on a CPU (default: all cores)")
    add("--version", action="version", version=f"zsre {version('zsre')}")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(parser(), argv, run, "interrupted; nothing was logged")


def run(arguments: argparse.Namespace) -> None:
    """Load what is quick to fail first, then measure, log and print."""
    check_flags(arguments)
    check_places(arguments)
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


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that cannot be meant."""
    check_shared_flags(arguments)
    check_least(arguments, per_relation=1, seed=0)
    check_calibration_flags(arguments)
    if (arguments.data is None) == (arguments.calibrate is None):
        raise UsageError("give labelled data: --data FILE to measure on, or --calibrate FILE to fit thresholds to")
    of_triples = arguments.triples or arguments.calibrate
    for flag, value in (
        ("--entities", arguments.entities),
        ("--spacy-model", arguments.spacy_model),
        ("--threshold", arguments.threshold),
    ):
        if value is not None and not of_triples:
            raise UsageError(f"{flag} {value}: is for triples: give --triples, or --calibrate FILE")
    if arguments.per_relation and of_triples:
        raise UsageError(f"--per-relation {arguments.per_relation}: is for pairs: triples are measured in whole texts")
    if arguments.training_format and not arguments.training_data:
        raise UsageError(
            f"--training-format {arguments.training_format}: is the format of training data, and there is none: "
            "give --training-data FILE"
        )
    if arguments.part and not arguments.split:
        raise UsageError(f"--part {arguments.part}: is a part of a split, and there is none: give --split FILE")
    if arguments.part == "test" and not arguments.log:
        raise UsageError(
            "--part test: test relations are for reporting, never for choosing, so each measurement is logged: "
            "give --log FILE"
        )


def check_places(arguments: argparse.Namespace) -> None:
    """Raise UsageError if what is written would replace, or be added to, what is read."""
    relations = Path(arguments.relations)
    read = [arguments.data, arguments.calibrate, arguments.split, arguments.model, *(arguments.training_data or ())]
    for flag, written, inputs in (
        ("--log", arguments.log, [*read, relations, arguments.output]),
        # The relations file may be replaced by what its thresholds become.
        ("--output", arguments.output, read),
    ):
        if written is not None and any(path is not None and is_same(written, path) for path in inputs):
            raise UsageError(f"{flag} {written}: is a file that this command reads or writes: give it one of its own")


def is_same(one: Path, other: Path) -> bool:
    """Tell whether two names are of one file, or would be if it were there."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def wanted_relations(arguments: argparse.Namespace) -> RelationSet:
    """Return the relations to choose among: those of the file, or of one part of a split."""
    relations = load_described(arguments.relations)
    if not arguments.split:
        return relations
    part = arguments.part or DEFAULT_PART
    ids = getattr(read_split(arguments.split), part)
    if not ids:
        raise DataError(f"{arguments.split}: has no relations in its part '{part}': give another --part")
    missing = [relation for relation in ids if relation not in relations]
    if missing:
        raise DataError(f"{arguments.relations}: describes no {some(missing)}, which {arguments.split} asks for")
    return replace(relations, relations=tuple(relations[relation] for relation in ids))


def log_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what is logged of every measurement: when, and on what."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "zsre": version("zsre"),
        "commit": current_commit(),
        "data": (arguments.calibrate or arguments.data).name,
        "texts": Path(arguments.relations).name,
        "split": arguments.split.stem if arguments.split else None,
        "part": (arguments.part or DEFAULT_PART) if arguments.split else None,
        "per_relation": arguments.per_relation,
        "seed": arguments.seed if arguments.per_relation or arguments.calibrate else None,
        "threads": arguments.threads,
    }


def append(log: Path, text: str) -> None:
    """Add text to the log; raise OutputError if that fails."""
    try:
        with log.open("a", encoding="utf-8") as file:
            # A last line that was cut short, as by a full disk, must not take this one with it.
            file.write("\n" + text if text and ends_amid_a_line(log) else text)
    except OSError as error:
        raise OutputError(f"--log {log}: cannot be written: {error.strerror or error}") from error


def ends_amid_a_line(path: Path) -> bool:
    """Tell whether a file's last line has no end."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def current_commit() -> str | None:
    """Return the commit of the checkout that this runs from, with ``+`` if it has changes, or None if it's none.

    What was measured before is no change: logs and pages of results are in the checkout themselves.
    """
    try:
        if _git("rev-parse", "--show-prefix") != f"{SOURCE.name}/":
            return None
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "-uno", "--", ":/", ":(top,exclude)results") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    # Never in the working directory: git runs programs that a repository's settings name, and data may come as one.
    done = subprocess.run(["git", *arguments], cwd=SOURCE, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
