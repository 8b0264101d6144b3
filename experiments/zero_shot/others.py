"""Sets that are measured in ways of their own: contrast pairs, SemEval's nominals, relations that nobody states."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experiments.zero_shot.candidates import assign_folds
from experiments.zero_shot.sets import REDOCRED_TEST, described, shares_sentence
from zsre.relations.contract import Calibration
from zsre.relations.equivalents import seen_overlap
from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledSentence
from zsre.relations.reader_contrast import ContrastPair, read_contrast_pairs
from zsre.relations.readers import read_labelled
from zsre.relations.relation import RelationSet
from zsre.relations.relations_file import read_relations
from zsre.relations.vectors import PairSentence
from zsre.runner.batch import decide_batch, encoded_batches
from zsre.runner.counts import Counts
from zsre.runner.entities import Annotator
from zsre.runner.job import Job
from zsre.runner.pair_types import TypeMask
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.scorer import Scorer
from zsre.runner.triple_eval import labelled_documents
from zsre.trainer.config import find_data

HERE: Final = Path(__file__).parent
#: Lower thresholds than the default at which silence is measured too.
LOWER: Final = (0.2, 0.1)
CONTRAST: Final = HERE.parents[1] / "contrast" / "test.jsonl"
SEMEVAL_TEST: Final = "semeval2010t8/test.txt.gz"


def measure_contrast(scorers: Sequence[Scorer], calibration: Calibration) -> dict[str, Any]:
    """Return how often the sentence that states a relation scores higher than the one that doesn't, by models unseen.

    And which share of either is written by the calibration's threshold.
    """
    pairs = list(read_contrast_pairs(CONTRAST))
    relations = described(pair.relation for pair in pairs)
    states, silent = (
        own_similarities([getattr(pair, side) for pair in pairs], [pair.relation for pair in pairs], relations, scorers)
        for side in ("states", "silent")
    )
    return contrast_figures(pairs, states, silent, calibration)


def contrast_figures(
    pairs: Sequence[ContrastPair], states: NDArray[np.float64], silent: NDArray[np.float64], calibration: Calibration
) -> dict[str, Any]:
    """Return what `measure_contrast` does, given the similarities of both sides of all pairs."""
    kinds = {pair.kind for pair in pairs}
    written = [calibration.probability(side.astype(np.float32)) >= calibration.threshold for side in (states, silent)]
    right = states > silent
    return {
        "pairs": len(pairs),
        "ordered_right": _percent(right),
        "states_written": _percent(written[0]),
        "silent_written": _percent(written[1]),
        "by_kind": {kind: _percent(right[[pair.kind == kind for pair in pairs]]) for kind in sorted(kinds)},
    }


def own_similarities(
    sentences: Sequence[LabelledSentence], wanted: Sequence[str], relations: RelationSet, scorers: Sequence[Scorer]
) -> NDArray[np.float64]:
    """Return (S,): the similarity of each sentence's first pair to its relation, by a model that has not seen it."""
    assigned = assign_folds(relations, scorers)
    found = np.full(len(sentences), np.nan)
    for number, scorer in enumerate(scorers):
        places = [place for place, relation in enumerate(wanted) if assigned[relation] == number]
        if places:
            chosen = [sentences[place] for place in places]
            ends = [(sentence.pairs[0].head, sentence.pairs[0].tail) for sentence in chosen]
            similarity = pair_similarities(chosen, ends, relations, scorer)
            columns = [relations.index(wanted[place]) for place in places]
            found[places] = similarity[np.arange(len(places)), columns]
    if np.isnan(found).any():
        raise DataError(f"{int(np.isnan(found).sum())} sentences cannot be read by the models")
    return found


def pair_similarities(
    sentences: Sequence[LabelledSentence], ends: Sequence[tuple[int, int]], relations: RelationSet, scorer: Scorer
) -> NDArray[np.float64]:
    """Return (S, R): similarities of one pair of mentions in each sentence, NaN for one that can't be read."""
    pairs = [
        PairSentence(sentence.text, sentence.mentions, (pair,)) for sentence, pair in zip(sentences, ends, strict=True)
    ]
    encoded = scorer.encode(pairs)
    found = np.full((len(sentences), len(relations)), np.nan)
    found[encoded.kept] = encoded.similarities(scorer.relation_vectors(relations)).sum(-1)
    return found


def measure_semeval(
    scorers: Sequence[Scorer], calibration: Calibration, trained: Collection[bytes] = ()
) -> dict[str, Any]:
    """Classify SemEval's test sentences among nine relations, two directions each, and Other, as its scorer does.

    Each relation is scored by a model that has seen it under no name. Other is what no relation reaches the
    calibration's threshold for; what the best threshold would give is beside it. Sentences that are among those of the
    ``trained`` keys are left out.
    """
    given = list(read_labelled(find_data(SEMEVAL_TEST)))
    sentences = [sentence for sentence in given if not shares_sentence(sentence.text, trained)]
    relations = read_relations(HERE / "semeval.yaml")
    assigned = assign_folds(relations, scorers)
    # (S, 2, R): the two nominals in the order of the text, and the other way round.
    similarity = np.stack([_by_assigned(sentences, way, relations, assigned, scorers) for way in ((0, 1), (1, 0))], 1)
    gold = np.asarray([gold_class(sentence, relations) for sentence in sentences])
    flat = similarity.reshape(len(sentences), -1)
    best, score = flat.argmax(1), flat.max(1)
    probability = calibration.probability(score.astype(np.float32))

    def official(written: NDArray[np.bool_]) -> dict[str, float]:
        return semeval_figures(gold, np.where(written, best, -1), len(relations))

    curve = [official(score >= cut) for cut in np.unique(np.round(score, 2))]
    return {
        "sentences": len(sentences),
        "shared": len(given) - len(sentences),
        "written": official(probability >= calibration.threshold),
        "best_threshold": max(curve, key=lambda figures: figures["f1"]),
        "without_other": official(np.ones(len(sentences), dtype=np.bool_)),
    }


def gold_class(sentence: LabelledSentence, relations: RelationSet) -> int:
    """Return a sentence's class: r from its first mention to its second, R + r the other way round, −1 for Other."""
    for pair in sentence.pairs:
        for relation in pair.relations:
            return relations.index(relation) + (0 if pair.head == 0 else len(relations))
    return -1


def semeval_figures(gold: NDArray[np.int64], given: NDArray[np.int64], relations: int) -> dict[str, float]:
    """Return macro precision, recall and F1 of the official scorer, and the recall of Other, in percent.

    A relation counts as given whichever way round, and as right only the right way round; the mean is over relations,
    without Other.
    """
    figures = []
    for relation in range(relations):
        right = float(((given == gold) & (gold >= 0) & (gold % relations == relation)).sum())
        of_given = float(((given >= 0) & (given % relations == relation)).sum())
        of_gold = float(((gold >= 0) & (gold % relations == relation)).sum())
        precision, recall = right / max(of_given, 1), right / max(of_gold, 1)
        figures.append((precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0))
    precision, recall, f1 = (round(100 * float(np.mean(column)), 2) for column in zip(*figures, strict=True))
    return {"precision": precision, "recall": recall, "f1": f1, "other_recall": _percent(given[gold == -1] == -1)}


def measure_unstated(scorer: Scorer, annotator: Annotator) -> dict[str, Any]:
    """Return how many triples a model writes per 100 sentences for relations that none of the sentences states.

    By the default threshold, and by lower ones.
    """
    sentences = list(read_labelled(find_data(REDOCRED_TEST)))
    relations = read_relations(HERE / "unstated.yaml")
    if seen := seen_overlap(scorer.contract.seen_relations, relations.ids).same:
        raise DataError(f"the model has seen {', '.join(seen)}")
    default, *lower = (make_rules(relations, scorer.contract, threshold, 3) for threshold in (None, *LOWER))
    job = Job(RecordSettings(), annotator, scorer, relations, default)
    counts, written, more = Counts(), 0, np.zeros(len(LOWER), dtype=np.int64)
    for batch in encoded_batches(labelled_documents(annotator, sentences, "given"), job, counts):
        written += len(decide_batch(batch, job, default))
        more += [len(decide_batch(batch, job, rules)) for rules in lower]
    return {
        "sentences": len(sentences),
        "relations": len(relations),
        "pairs": counts.pairs,
        "pairs_that_fit": round(100 * fitting_share(sentences, relations), 2),
        "triples": written,
        "triples_per_100_sentences": round(100 * written / len(sentences), 3),
        "at_lower_thresholds": [
            [threshold, round(100 * found / len(sentences), 3)]
            for threshold, found in zip(LOWER, more.tolist(), strict=True)
        ],
    }


def fitting_share(sentences: Sequence[LabelledSentence], relations: RelationSet) -> float:
    """Return the share of pairs whose types some relation allows, in their order."""
    mask = TypeMask(relations)
    fits = [
        mask.admits(sentence.mentions[pair.head].type, sentence.mentions[pair.tail].type)
        for sentence in sentences
        for pair in sentence.pairs
    ]
    return float(np.mean(fits)) if fits else 0.0


def _by_assigned(
    sentences: Sequence[LabelledSentence],
    way: tuple[int, int],
    relations: RelationSet,
    assigned: Mapping[str, int],
    scorers: Sequence[Scorer],
) -> NDArray[np.float64]:
    """Return (S, R), each relation's column by its own model; an unreadable pair is like nothing."""
    found = np.full((len(sentences), len(relations)), -1.0)
    for number, scorer in enumerate(scorers):
        columns = [relations.index(relation) for relation in relations.ids if assigned[relation] == number]
        if columns:
            own = pair_similarities(sentences, [way] * len(sentences), relations, scorer)
            found[:, columns] = np.nan_to_num(own[:, columns], nan=-1.0)
    return found


def _percent(found: NDArray[np.bool_]) -> float:
    return round(100 * float(np.mean(found)), 2)
