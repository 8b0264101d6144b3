"""Everything that could be written for a set of texts by models that have not seen the relation, with its features."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from experiments.zero_shot.sets import TextSet
from zsre.relations.equivalents import seen_overlap
from zsre.relations.errors import DataError, UsageError
from zsre.relations.examples import LabelledSentence
from zsre.relations.relation import Relation, RelationSet
from zsre.relations.vectors import PairSentence, scale_blocks
from zsre.runner.batch import decide_batch, encoded_batches
from zsre.runner.counts import Counts
from zsre.runner.entities import Annotator, Document
from zsre.runner.job import Job
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.scorer import Scorer
from zsre.runner.triple_eval import Collector, Judges, labelled_documents, unruled
from zsre.runner.triple_metrics import Judged
from zsre.trainer.folds import FOLDS

#: What a pair that states nothing is like, in words: a prototype built from text alone.
NOTHING: Final = (
    "nothing: the two are only mentioned in the same sentence",
    "no relation between these two is stated",
    "unrelated things in one list",
)


#: Texts that prototypes are learned from, and how many of these there are.
SILENT_TEXTS: Final = 1000
PROTOTYPES: Final = 16
_NOT_ROWS: Final = frozenset({"judged", "fact_fold"})


@dataclass(frozen=True)
class Candidates:
    """Judged candidates (N,) and what rejection rules may look at.

    ``fold`` (N,) is the number of the model that scored each, which has not seen its relation; ``fact_fold`` (F,) is
    that of each fact. ``parts`` (N, 3) are the similarity's head, tail and context, ``margin`` (N,) its distance to the
    best other relation that the types allow, 1 where there is none. ``nothing`` (N, 2) is the pair's similarity to what
    states nothing: to the likeliest text of `NOTHING`, and to the likeliest learned prototype. ``level_mean`` and
    ``level_deviation`` (N,) describe the similarities of the candidate's relation over all pairs of the texts that its
    types allow.
    """

    judged: Judged
    fold: NDArray[np.int64]
    fact_fold: NDArray[np.int64]
    parts: NDArray[np.float64]
    margin: NDArray[np.float64]
    nothing: NDArray[np.float64]
    level_mean: NDArray[np.float64]
    level_deviation: NDArray[np.float64]

    def of_folds(self, chosen: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Candidates:
        """Return the candidates and facts of those folds for whose numbers ``chosen`` is true."""
        rows, facts = chosen(self.fold), chosen(self.fact_fold)
        own = {each.name: getattr(self, each.name)[rows] for each in fields(self) if each.name not in _NOT_ROWS}
        return Candidates(judged=self.judged.select(rows, facts), fact_fold=self.fact_fold[facts], **own)


def fold_folders(run: Path) -> list[Path]:
    """Return the runs of a run's folds; raise UsageError for a run that has none."""
    folders = sorted((run / FOLDS).glob("*"))
    if not folders:
        raise UsageError(f"--run {run}: has no models of folds: give a run that zsre-train has calibrated")
    return folders


def assign_folds(relations: RelationSet, scorers: Sequence[Scorer]) -> Mapping[str, int]:
    """Return for each relation the first model that has seen it under no name; raise DataError if there is none."""
    overlaps = [seen_overlap(scorer.contract.seen_relations, relations.ids).same for scorer in scorers]
    assigned = {}
    for relation in relations.ids:
        unseen = [number for number, same in enumerate(overlaps) if relation not in same]
        if not unseen:
            raise DataError(
                f"{relation} was seen by every one of the {len(scorers)} models, so none is zero-shot on it"
            )
        assigned[relation] = unseen[0]
    return assigned


def learned_prototypes(texts: Sequence[LabelledSentence], scorer: Scorer) -> NDArray[np.float32]:
    """Return blocks (V, 3, D) of what pairs that state nothing are like, the centres of clusters of their vectors."""
    silent = [
        PairSentence(text.text, text.mentions, _silent_pairs(text))
        for text in random.Random(0).sample(texts, min(SILENT_TEXTS, len(texts)))
    ]
    found = scorer.encode([each for each in silent if each.pairs])
    ends = found.mentions[found.pairs].astype(np.float32)
    vectors = np.concatenate([ends, found.contexts[:, None].astype(np.float32)], 1)
    clusters = MiniBatchKMeans(min(PROTOTYPES, len(vectors)), n_init=1, random_state=0)
    centres = clusters.fit(vectors.reshape(len(vectors), -1)).cluster_centers_.reshape(-1, *vectors.shape[1:])
    head, tail, context = centres.astype(np.float32).transpose(1, 0, 2)
    return scale_blocks(head, tail, context, scorer.contract.alpha)


def collect(
    text_set: TextSet,
    scorer: Scorer,
    number: int,
    relations: RelationSet,
    annotator: Annotator,
    documents: Iterable[Document],
    prototypes: NDArray[np.float32],
) -> Candidates:
    """Return all candidates of some of the set's relations that one model gives, with no threshold.

    ``documents`` are the set's texts, annotated; ``prototypes`` those that `learned_prototypes` gives for the model.
    """
    rules = make_rules(relations, scorer.contract, None, max_relations=len(relations))
    job = Job(RecordSettings(), annotator, scorer, relations, rules)
    judges = Judges(text_set.texts, relations, text_set.decided)
    collector = Collector(judges)
    nothing = (scorer.relation_vectors(_nothing(relations)), prototypes)
    features: list[NDArray[np.float64]] = []
    level = _Level(len(relations))
    watched = judges.watched(documents, lambda texts: None)
    for batch in encoded_batches(watched, job, Counts()):
        decisions = decide_batch(batch, job, unruled(rules))
        rows = np.asarray(collector.add(batch, decisions), dtype=np.int64)
        likeliest = np.full((len(batch.pairs), len(nothing)), -1.0)
        for column, blocks in enumerate(nothing):
            likeliest[batch.vectors.kept, column] = batch.vectors.similarities(blocks).sum(-1).max(-1)
        margin = np.nan_to_num(decisions.margin[rows], nan=1.0)
        columns = [*decisions.parts[rows].T, margin, *likeliest[decisions.pair[rows]].T]
        features.append(np.stack(columns, 1))
        level.add(decisions.relation, decisions.similarity)
    judged, found = collector.judged(), np.concatenate(features)
    mean, deviation = level.moments()
    return Candidates(
        judged=judged,
        fold=np.full(len(judged.score), number),
        fact_fold=np.full(len(judged.fact_relation), number),
        parts=found[:, :3],
        margin=found[:, 3],
        nothing=found[:, 4:],
        level_mean=mean[judged.relation],
        level_deviation=deviation[judged.relation],
    )


def joined(parts: Sequence[tuple[Candidates, RelationSet]], relations: RelationSet) -> Candidates:
    """Put together what models gave for relations of their own, numbered as in ``relations``."""
    place = {relation: index for index, relation in enumerate(relations.ids)}
    renumbered = []
    rows = facts = 0
    for found, own in parts:
        global_place = np.asarray([place[relation] for relation in own.ids], dtype=np.int64)
        judged = replace(
            found.judged,
            relation=global_place[found.judged.relation],
            fact_relation=global_place[found.judged.fact_relation],
            states=found.judged.states + np.asarray([rows, facts]),
        )
        rows, facts = rows + len(judged.score), facts + len(judged.fact_relation)
        renumbered.append(replace(found, judged=judged))
    undecided = sum(each.judged.undecided for each in renumbered)
    judged = Judged(**_concatenated([each.judged for each in renumbered]), undecided=undecided)
    return Candidates(judged=judged, **_concatenated(renumbered))


def collect_all(
    text_set: TextSet,
    scorers: Sequence[Scorer],
    annotator: Annotator,
    prototypes: Callable[[Scorer], NDArray[np.float32]],
    show: Callable[[str], None],
) -> Candidates:
    """Return the candidates of all relations of a set, each by a model that has not seen it.

    ``prototypes`` gives what pairs that state nothing are like to a model, see `learned_prototypes`.
    """
    assigned = assign_folds(text_set.relations, scorers)
    documents = list(labelled_documents(annotator, text_set.texts, text_set.entities))
    parts = []
    for number, scorer in enumerate(scorers):
        own = tuple(relation for relation in text_set.relations if assigned[relation.id] == number)
        if own:
            show(f"{text_set.name}: {len(own)} relations by model {number}")
            relations = replace(text_set.relations, relations=own)
            found = collect(text_set, scorer, number, relations, annotator, documents, prototypes(scorer))
            parts.append((found, relations))
    return joined(parts, text_set.relations)


def save(path: Path, candidates: Candidates) -> None:
    """Keep candidates in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    judged = {f"judged_{name}": value for name, value in vars(candidates.judged).items()}
    np.savez_compressed(path, **judged, **{name: value for name, value in vars(candidates).items() if name != "judged"})


def load(path: Path) -> Candidates:
    """Return what `save` kept."""
    with np.load(path) as arrays:
        judged = {name.removeprefix("judged_"): arrays[name] for name in arrays if name.startswith("judged_")}
        judged["undecided"] = int(judged["undecided"])
        own = {name: arrays[name] for name in arrays if not name.startswith("judged_")}
    return Candidates(judged=Judged(**judged), **own)


class _Level:
    """Mean and deviation of the similarities of each relation, over whatever its types allow."""

    def __init__(self, relations: int) -> None:
        self._sums = np.zeros((3, relations))

    def add(self, relation: NDArray[np.int64], similarity: NDArray[np.float64]) -> None:
        for power, sums in enumerate(self._sums):
            np.add.at(sums, relation, similarity**power)

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        count, total, squares = self._sums
        mean = total / np.maximum(count, 1)
        return mean, np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 1e-6))


def _silent_pairs(text: LabelledSentence) -> tuple[tuple[int, int], ...]:
    return tuple((pair.head, pair.tail) for pair in text.pairs if not pair.relations)


def _nothing(relations: RelationSet) -> RelationSet:
    return replace(relations, relations=tuple(Relation(text, text, text) for text in NOTHING), type_lines={})


def _concatenated(parts: Sequence[Judged] | Sequence[Candidates]) -> dict[str, NDArray[Any]]:
    """Join the arrays of a dataclass, field by field."""
    arrays = [each.name for each in fields(parts[0]) if isinstance(getattr(parts[0], each.name), np.ndarray)]
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
