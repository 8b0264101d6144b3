"""The command ``zsre-eval``: labelled data in; how well a model tells described relations apart.

Like ``zsre-extract``, it loads little until the flags are known to be right.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from zsre.relations.catalogue import is_catalogue
from zsre.relations.command_line import CommandParser
from zsre.relations.errors import UsageError
from zsre.relations.interrupts import interrupts_deferred
from zsre.relations.places import is_same
from zsre.relations.readers import FORMATS
from zsre.runner.entry import run_command
from zsre.runner.flags import DEFAULT_ENTITIES, ENTITIES, add_flags, check_least
from zsre.runner.flags import check_flags as check_shared_flags

PROGRAM: Final = "zsre-eval"
DEFAULT_PART: Final = "eval"


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
    add_flags(command, "--device")
    add("--threads", type=int, metavar="N", help="threads for an exported model on a CPU (default: all cores)")
    add("--version", action="version", version=f"zsre {version('zsre')}")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(parser(), argv, run, "interrupted; nothing was logged")


def run(arguments: argparse.Namespace) -> None:
    """Measure as the flags say; raise ZsreError for whatever a person can mend."""
    check_flags(arguments)
    check_places(arguments)
    if arguments.split and not arguments.part:
        arguments.part = DEFAULT_PART
    with interrupts_deferred():
        from zsre.runner.eval_command import run_eval
    run_eval(arguments)


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


def check_calibration_flags(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags of ``--calibrate`` that cannot be meant."""
    if not arguments.calibrate:
        for flag, value in (("--output", arguments.output), ("--target-precision", arguments.target_precision)):
            if value is not None:
                raise UsageError(f"{flag} {value}: is for --calibrate FILE, which fits thresholds to labelled data")
        return
    for flag, given in (("--training-data", arguments.training_data), ("--per-class", arguments.per_class)):
        if given:
            raise UsageError(f"{flag}: is for measuring, and --calibrate fits: measure its file with --triples then")
    name = arguments.relations
    if is_catalogue(name) or name.endswith(".json"):
        raise UsageError(
            f"--relations {name}: --calibrate writes a copy of a relations file in YAML: write the relations that you "
            "look for into one"
        )
    if arguments.output is None:
        raise UsageError("--calibrate: where the relations file goes is missing: give -o FILE (it may be the old one)")
    if arguments.target_precision is not None and not 0 < arguments.target_precision < 1:
        raise UsageError(f"--target-precision {arguments.target_precision}: must lie between 0 and 1, as in 0.9")
    if arguments.target_precision is not None and arguments.threshold is not None:
        raise UsageError("--target-precision chooses the thresholds, and so does --threshold: give one of them")


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


if __name__ == "__main__":
    sys.exit(main())
