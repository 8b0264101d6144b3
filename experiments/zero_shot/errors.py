"""Errors to read by eye: ``python -m experiments.zero_shot.errors --run runs/shipped --set redocred``.

Triples of unseen relations that the labels call wrong, and facts that were missed, drawn at random, as tab-separated
lines. Each relation is scored by the fold's model that has not seen it.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from experiments.zero_shot.candidates import assign_folds, fold_folders
from experiments.zero_shot.sets import REDOCRED_TEST, TextSet, knowledgenet, redocred
from zsre.relations.relation import RelationSet
from zsre.runner.batch import decide_batch, encoded_batches
from zsre.runner.counts import Counts
from zsre.runner.entities import Annotator, load_annotator
from zsre.runner.gold import Fact, Gold, Verdict
from zsre.runner.job import Job
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.scorer import Scorer, load_scorer
from zsre.runner.triple_eval import labelled_documents

_SETS: Final[Mapping[str, Callable[[], TextSet]]] = {
    "redocred": partial(redocred, REDOCRED_TEST, "evidence", "given"),
    "knowledgenet": partial(knowledgenet, "both"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    command = argparse.ArgumentParser(description="Draw errors on relations that the models have not seen.")
    command.add_argument("--run", type=Path, default=Path("runs/shipped"), metavar="DIR")
    command.add_argument("--set", choices=tuple(_SETS), default="redocred")
    command.add_argument("--texts", type=int, default=400, metavar="N", help="texts to draw from")
    command.add_argument("--threshold", type=float, default=0.1, metavar="P", help="least score of a triple")
    command.add_argument("--count", type=int, default=25, metavar="N", help="errors of each kind")
    arguments = command.parse_args(argv)
    draw = random.Random(0)
    text_set = _SETS[arguments.set]()
    text_set = replace(text_set, texts=draw.sample(text_set.texts, min(arguments.texts, len(text_set.texts))))
    scorers = [load_scorer(folder, "auto", None) for folder in fold_folders(arguments.run)]
    with closing(load_annotator()) as annotator:
        found = list(errors(text_set, scorers, annotator, arguments.threshold))
    for kind in ("wrong", "missed"):
        own = [line for line in found if line[0] == kind]
        for line in draw.sample(own, min(arguments.count, len(own))):
            print("\t".join(line))
    return 0


def errors(
    text_set: TextSet, scorers: Sequence[Scorer], annotator: Annotator, threshold: float
) -> Iterator[tuple[str, ...]]:
    """Yield lines of kind, score, head, relation, tail and text: wrong triples, then missed facts, by model."""
    assigned = assign_folds(text_set.relations, scorers)
    for number, scorer in enumerate(scorers):
        own = tuple(each for each in text_set.relations if assigned[each.id] == number)
        if own:
            relations = replace(text_set.relations, relations=own)
            yield from _errors_of(text_set, relations, scorer, annotator, threshold)


def _errors_of(
    text_set: TextSet, relations: RelationSet, scorer: Scorer, annotator: Annotator, threshold: float
) -> Iterator[tuple[str, ...]]:
    rules = replace(
        make_rules(relations, scorer.contract, threshold, max_relations=3),
        thresholds=np.full(len(relations), threshold),
    )
    job = Job(RecordSettings(), annotator, scorer, relations, rules)
    golds = [Gold(text, relations, text_set.decided) for text in text_set.texts]
    stated: set[tuple[int, Fact]] = set()
    for batch in encoded_batches(labelled_documents(annotator, text_set.texts, text_set.entities), job, Counts()):
        decisions = decide_batch(batch, job, rules)
        for row, pair in enumerate(decisions.pair.tolist()):
            place = batch.in_text(pair)
            relation = relations.relations[int(decisions.relation[row])]
            text = int(place.doc_id)
            ends = [(end.start, end.end) for end in (place.head, place.tail)]
            judgement = golds[text].judge(relation.id, *ends)
            stated.update((text, fact) for fact in judgement.facts)
            if judgement.verdict is Verdict.WRONG:
                names = place.named(place.head), relation.name, place.named(place.tail)
                yield "wrong", f"{decisions.score[row]:.2f}", *names, _line(place.sentence)
    for number, gold in enumerate(golds):
        for fact in sorted(gold.facts):
            if (number, fact) not in stated:
                head, tail = (gold.sentence.mentions[end] for end in (fact.head, fact.tail))
                names = (
                    gold.sentence.text[head.start : head.end],
                    relations.relations[fact.relation].name,
                    gold.sentence.text[tail.start : tail.end],
                )
                yield "missed", "", *names, _line(gold.sentence.text)


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
