"""The command: ``python -m experiments.zero_shot --run runs/shipped``."""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experiments.names import chosen
from experiments.usage import device
from experiments.zero_shot.candidates import (
    NOTHING,
    PROTOTYPES,
    Candidates,
    collect_all,
    fold_folders,
    learned_prototypes,
    load,
    save,
)
from experiments.zero_shot.measure import calibrated, decide, figures
from experiments.zero_shot.others import measure_contrast, measure_semeval, measure_unstated
from experiments.zero_shot.page import render
from experiments.zero_shot.rules import RULES
from experiments.zero_shot.sets import (
    REDOCRED_DEV,
    REDOCRED_TEST,
    TextSet,
    knowledgenet,
    redocred,
    trained_keys,
    without_shared,
)
from zsre.relations.equivalents import equivalents_of
from zsre.relations.errors import ZsreError
from zsre.runner.entities import load_annotator
from zsre.runner.scorer import Scorer, load_scorer
from zsre.runner.triples import relations_fingerprint
from zsre.trainer.checkpoint import read_run_config
from zsre.trainer.data import read_sources
from zsre.trainer.digest import reading_digest

PROGRAM: Final = "experiments.zero_shot"
Line = Mapping[str, Any]
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
    add("--sets", default=",".join(SETS), metavar="NAMES", help=f"some of {','.join(SETS)} (default: all)")
    add("--results", type=Path, default=Path("results/zero-shot.jsonl"), metavar="FILE", help="log to append to")
    add("--render", action="store_true", help="only render what is in the log")
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
    """Collect what is not yet kept beside the run, and append the figures of each set to the log."""
    if arguments.render:
        print(render(arguments.results))
        return
    names = chosen("--sets", arguments.sets, SETS)
    scorers = [load_scorer(folder, "auto", None) for folder in fold_folders(arguments.run)]
    for name in names:
        for found in OTHERS[name](arguments.run, scorers) if name in OTHERS else by_rules(name, arguments.run, scorers):
            line = {
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "device": device(),
                "models": [scorer.contract.fingerprint for scorer in scorers],
                **found,
            }
            with arguments.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            logger.info("%s", found["set"])
    print(render(arguments.results))


def by_rules(name: str, run: Path, scorers: Sequence[Scorer]) -> Iterator[Line]:
    """Yield the figures of each rule on each variant of a set."""
    known_set = KNOWN_SET()
    known = candidates_of(known_set, scorers, run)
    stored = load_scorer(run, "auto", None).contract.calibration
    for make in MEASURED[name]:
        text_set = without_shared(make(), trained_on(run))
        measured = candidates_of(text_set, scorers, run)
        relations = max(len(text_set.relations), len(known_set.relations))
        yield {"set": text_set.name, "calibration": calibrated(known, measured, stored)}
        for rule, fit in RULES.items():
            yield {
                "set": text_set.name,
                "relations": len(text_set.relations),
                "left_out": text_set.left_out,
                "shared": text_set.shared,
                "rule": rule,
                **figures(decide(known, measured, fit, relations)),
            }


def contrast(run: Path, scorers: Sequence[Scorer]) -> Iterator[Line]:
    """Yield the figures of the contrast pairs' test half, by the threshold of the run's calibration."""
    yield {"set": "contrast", **measure_contrast(scorers, load_scorer(run, "auto", None).contract.calibration)}


def semeval(run: Path, scorers: Sequence[Scorer]) -> Iterator[Line]:
    """Yield the figures of SemEval, by the threshold of the run's calibration."""
    stored = load_scorer(run, "auto", None).contract.calibration
    yield {"set": "semeval", **measure_semeval(scorers, stored, trained_on(run))}


def unstated(run: Path, scorers: Sequence[Scorer]) -> Iterator[Line]:
    """Yield the figures of relations that nobody states: those of the run itself, which has seen none of them."""
    with closing(load_annotator()) as annotator:
        yield {"set": "unstated", **measure_unstated(load_scorer(run, "auto", None), annotator)}


def prototypes_of(scorer: Scorer) -> NDArray[np.float32]:
    """Return what pairs that state nothing are like to a model, learned from the texts that rules are fitted on."""
    # A protocol is not known to be hashable, as all that load_scorer gives is.
    loaded: Any = scorer
    return _prototypes(loaded)


@cache
def _prototypes(scorer: Scorer) -> NDArray[np.float32]:
    return learned_prototypes(KNOWN_SET().texts, scorer)


@cache
def trained_on(run: Path) -> frozenset[bytes]:
    """Return the keys of all texts that the models of a run may have been trained on."""
    sources = read_sources(read_run_config(run).data)
    return trained_keys(text for _, source in sources for text in source)


def candidates_of(text_set: TextSet, scorers: Sequence[Scorer], run: Path) -> Candidates:
    """Return the candidates of a set, from the run's folder if they were collected before.

    With these very models, relations, texts and labels, that is, the same entities, and the same table of relations
    that are the same.
    """
    with closing(load_annotator()) as annotator:
        facts = (
            [scorer.contract.fingerprint for scorer in scorers],
            relations_fingerprint(text_set.relations),
            [sorted(equivalents_of(relation, "same")) for relation in text_set.relations.ids],
            [text.id for text in text_set.texts],
            reading_digest([text_set.texts], {}, (), ()),
            sorted(text_set.decided),
            (text_set.entities, annotator.name),
            (NOTHING, PROTOTYPES),
        )
        told = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        kept = run / "zero-shot" / f"{text_set.name}-{told[:16]}.npz"
        if kept.is_file():
            return load(kept)
        candidates = collect_all(text_set, scorers, annotator, prototypes_of, logger.info)
    save(kept, candidates)
    return candidates


OTHERS: Final[Mapping[str, Callable[[Path, Sequence[Scorer]], Iterator[Line]]]] = {
    "contrast": contrast,
    "semeval": semeval,
    "unstated": unstated,
}
SETS: Final = (*MEASURED, *OTHERS)


if __name__ == "__main__":
    sys.exit(main())
