"""The command: ``python -m experiments.zero_shot --run runs/shipped``."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from experiments.usage import device
from experiments.zero_shot.candidates import Candidates, collect_all, load, save
from experiments.zero_shot.measure import decide, figures
from experiments.zero_shot.rules import RULES
from experiments.zero_shot.sets import REDOCRED_DEV, REDOCRED_TEST, TextSet, knowledgenet, redocred
from zsre.relations.errors import ZsreError
from zsre.runner.entities import load_annotator
from zsre.runner.scorer import Scorer, load_scorer
from zsre.trainer.folds import FOLDS

PROGRAM: Final = "experiments.zero_shot"
KNOWN: Final = "redocred-dev"
logger = logging.getLogger(__name__)

#: What rules are fitted on: text that models were trained on, but for the relations that they have not seen.
KNOWN_SET: Final = partial(redocred, REDOCRED_DEV, "evidence", "given")
MEASURED: Final = {
    "redocred": (
        partial(redocred, REDOCRED_TEST, "evidence", "given"),
        partial(redocred, REDOCRED_TEST, "labels", "given"),
        partial(redocred, REDOCRED_TEST, "evidence", "spacy"),
        partial(redocred, REDOCRED_TEST, "labels", "spacy"),
    ),
    "knowledgenet": (partial(knowledgenet, "both"), partial(knowledgenet, "spacy")),
}


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Measure what a run's fold models write for relations that they have not seen, by several rules.",
    )
    add = command.add_argument
    add("--run", type=Path, default=Path("runs/shipped"), metavar="DIR", help="a run that was calibrated by folds")
    add("--sets", default=",".join(MEASURED), metavar="NAMES", help=f"some of {','.join(MEASURED)} (default: all)")
    add("--results", type=Path, default=Path("results/zero-shot.jsonl"), metavar="FILE", help="log to append to")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format=f"{PROGRAM}: %(message)s", stream=sys.stderr)
    logger.setLevel(logging.INFO)
    try:
        run(arguments)
    except ZsreError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Collect what is not yet kept beside the run, and append every rule's figures to the log."""
    scorers = [load_scorer(path, "auto", None) for path in sorted((arguments.run / FOLDS).iterdir())]
    known_set = KNOWN_SET()
    known = candidates_of(known_set, scorers, arguments.run)
    for name in arguments.sets.split(","):
        for make in MEASURED[name]:
            text_set = make()
            measured = candidates_of(text_set, scorers, arguments.run)
            for line in lines_of(text_set, known, measured, scorers):
                with arguments.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                logger.info("%s, %s: %s", line["set"], line["rule"], line["written"])


def candidates_of(text_set: TextSet, scorers: Sequence[Scorer], run: Path) -> Candidates:
    """Return the candidates of a set, from the run's folder if they were collected before."""
    kept = run / "zero-shot" / f"{text_set.name}.npz"
    if kept.is_file():
        return load(kept)
    with closing(load_annotator()) as annotator:
        candidates = collect_all(text_set, scorers, annotator, logger.info)
    save(kept, candidates)
    return candidates


def lines_of(
    text_set: TextSet, known: Candidates, measured: Candidates, scorers: Sequence[Scorer]
) -> Iterator[Mapping[str, Any]]:
    """Yield the figures of each rule."""
    relations = max(len(text_set.relations), len(KNOWN_SET().relations))
    for rule, fit in RULES.items():
        yield {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "device": device(),
            "models": [scorer.contract.fingerprint for scorer in scorers],
            "set": text_set.name,
            "relations": len(text_set.relations),
            "left_out": text_set.left_out,
            "rule": rule,
            **figures(decide(known, measured, fit, relations)),
        }


if __name__ == "__main__":
    sys.exit(main())
