"""The ``zsre-eval`` command."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from zsre.relations.errors import DataError, OutputError, UsageError, ZsreError
from zsre.relations.examples import LabelledSentence
from zsre.relations.readers import FORMATS, read_labelled
from zsre.relations.relation import RelationSet
from zsre.relations.splits import load_described, read_split
from zsre.runner.eval_report import figures, show
from zsre.runner.evaluate import (
    Evaluation,
    Passed,
    evaluate,
    sample_per_relation,
    single_relation_pairs,
    some,
    trained_sentences,
    without_shared,
)
from zsre.runner.scorer import Scorer, load_scorer
from zsre.runner.session import DEVICES

PROGRAM: Final = "zsre-eval"
INTERRUPTED: Final = 130
DEFAULT_PART: Final = "eval"


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = argparse.ArgumentParser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Measure an exported model or a run directory on labelled data.",
    )
    add = command.add_argument
    add("model", type=Path, nargs="?", help="model.onnx or run directory (default: the model that ships)")
    add("--data", type=Path, required=True, metavar="FILE", help="labelled data, plain or gzip")
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
    add("--seed", type=int, default=13, metavar="N", help="seed of the draw (default: 13)")
    add("--log", type=Path, metavar="FILE", help="append the figures to this file; --part test demands it")
    add("--per-class", action="store_true", help="give each relation's figures and confusions too")
    add("--json", action="store_true", help="print one line of JSON, as in the log")
    add("--device", choices=DEVICES, default="auto", help="what to run the model on (default: auto)")
    add("--threads", type=int, metavar="N", help="threads for an exported model on a CPU (default: all cores)")
    add("--version", action="version", version=f"zsre {version('zsre')}")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format=f"{PROGRAM}: %(message)s", stream=sys.stderr)
    try:
        measure(arguments)
    except ZsreError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; nothing was logged", file=sys.stderr)
        return INTERRUPTED
    return 0


def measure(arguments: argparse.Namespace) -> None:
    """Load what is quick to fail first, then measure, log and print."""
    check_flags(arguments)
    relations = wanted_relations(arguments)
    sentences = read_labelled(arguments.data, arguments.format, "--format")
    training = {
        path: read_labelled(path, arguments.training_format, "--training-format")
        for path in arguments.training_data or ()
    }
    if arguments.log:
        append(arguments.log, "")
    scorer = load_scorer(arguments.model, arguments.device, arguments.threads)
    passed = Passed(training_data=tuple(path.name for path in training))
    examples = single_relation_pairs(sentences, relations, passed)
    with Console(stderr=True).status("measuring") as status:
        if training:
            examples = without_shared(examples, keys_of_training(training, scorer), passed)
        if arguments.per_relation:
            examples = iter(sample_per_relation(examples, arguments.per_relation, arguments.seed, passed))
        evaluation = evaluate(
            scorer, examples, relations, passed, lambda done: status.update(f"measured {done:,} pairs")
        )
    line = json.dumps(log_line(arguments, scorer, evaluation))
    if arguments.log:
        append(arguments.log, line + "\n")
    if arguments.json:
        print(line)
    else:
        show(Console(), evaluation, scorer, arguments.per_class)


def keys_of_training(training: Mapping[Path, Iterable[LabelledSentence]], scorer: Scorer) -> set[bytes]:
    """Return what the sentences that the model may have been trained on are known by.

    Raises UsageError for a file with no such sentence: it was not trained on that one.
    """
    name, seen = scorer.contract.name, scorer.contract.seen_relations
    keys: set[bytes] = set()
    for path, sentences in training.items():
        found = trained_sentences(sentences, seen)
        if not found:
            raise UsageError(
                f"--training-data {path}: no sentence states one of the {len(seen)} relations that "
                f"{name} was trained on ({some(seen)}); give the files that it was trained on"
            )
        keys |= found
    return keys


def check_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that cannot be meant."""
    for flag, value in (("--per-relation", arguments.per_relation), ("--threads", arguments.threads)):
        if value is not None and value < 1:
            raise UsageError(f"{flag} {value}: must be at least 1")
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
    return RelationSet(tuple(relations[relation] for relation in ids), relations.types, relations.source)


def log_line(arguments: argparse.Namespace, scorer: Scorer, evaluation: Evaluation) -> dict[str, Any]:
    """Return what is logged: when, with what and on what was measured, and the figures."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "zsre": version("zsre"),
        "commit": current_commit(),
        "data": arguments.data.name,
        "texts": Path(arguments.relations).name,
        "split": arguments.split.stem if arguments.split else None,
        "part": (arguments.part or DEFAULT_PART) if arguments.split else None,
        "per_relation": arguments.per_relation,
        "seed": arguments.seed if arguments.per_relation else None,
        "threads": arguments.threads,
        **figures(evaluation, scorer, arguments.per_class),
    }


def append(log: Path, text: str) -> None:
    """Add text to the log; raise OutputError if that fails."""
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"--log {log}: cannot be written: {error.strerror or error}") from error


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


if __name__ == "__main__":
    sys.exit(main())
