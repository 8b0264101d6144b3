"""From similarities to decisions: type masks, calibrated scores, thresholds, and one triple per fact and pair.

Everything is rounded to four decimals before it is compared, so that a decision doesn't hang on how the
work was divided into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsre.relations.vectors import PairVectors
from zsre.runner.pair_types import PairTypes, TypeMask, Types
from zsre.runner.rules import Rules
from zsre.runner.screening import close_pairs, near_similarities, used_mentions

DECIMALS: Final = 4
#: Similarity parts held at a time; 4 million are 16 MB. It bounds memory whatever the number of relations.
_CHUNK_PARTS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Decisions:
    """The triples to write for a list of pairs, one row each, by pair and then from the best score down.

    ``pair`` (N,) indexes the pairs that were asked for, ``relation`` (N,) the relations. ``parts`` (N, 3) are the
    similarity's head, tail and context parts, which sum to it. ``margin`` (N,) is the distance to the best
    other relation allowed for the pair, NaN where there is none.
    """

    pair: NDArray[np.int64]
    relation: NDArray[np.int64]
    score: NDArray[np.float64]
    similarity: NDArray[np.float64]
    parts: NDArray[np.float64]
    margin: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pair)

    def take(self, rows: NDArray[np.int64]) -> Decisions:
        """Return the chosen rows in the given order."""
        return Decisions(
            self.pair[rows],
            self.relation[rows],
            self.score[rows],
            self.similarity[rows],
            self.parts[rows],
            self.margin[rows],
        )


def decide(
    vectors: PairVectors,
    relation_vectors: NDArray[np.float32],
    mask: TypeMask,
    types: PairTypes,
    ends: NDArray[np.int64],
    rules: Rules,
) -> Decisions:
    """Decide on all pairs of a batch.

    ``types`` and ``ends`` (P, 2) describe every pair that was asked for, also those that could not be encoded:
    the types of head and tail, and two numbers that identify the mentions within the batch and grow along the text.
    """
    found = scored(vectors, relation_vectors, mask.rows, types, rules)
    return best_per_pair(one_per_fact(found, ends, rules.rivals), rules.max_relations)


def scored(
    vectors: PairVectors,
    relation_vectors: NDArray[np.float32],
    allowed: Callable[[Sequence[Types]], NDArray[np.bool_]],
    types: PairTypes,
    rules: Rules,
) -> Decisions:
    """Return every relation at or above its threshold among those ``allowed``, by pair and order in the file.

    ``allowed`` gives (U, R) for U pairs of types. Pairs that may have the same relations are multiplied with these
    alone. That happens in single precision; what comes near a threshold is worked out again in double, since the last
    bits of a single-precision product depend on what else is in it.
    """
    near = near_similarities(rules.calibration, rules.thresholds)
    found = []
    for columns, rows in _alike(allowed(types.distinct), types.which[vectors.kept]):
        own_relations = relation_vectors if len(columns) == len(relation_vectors) else relation_vectors[columns]
        size = max(1, _CHUNK_PARTS // (3 * len(columns)))
        for start in range(0, len(rows), size):
            close = close_pairs(vectors, rows[start : start + size], own_relations, near[columns])
            if len(close):
                likely = _taken(vectors, close)
                exact = likely.similarities(own_relations.astype(np.float64))
                found.append(score_pairs(exact, likely.kept, columns, rules))
    joined = _joined(found)
    return joined.take(np.lexsort((joined.relation, joined.pair)))


def score_pairs(
    parts: NDArray[np.floating[Any]], pairs: NDArray[np.int64], relations: NDArray[np.int64], rules: Rules
) -> Decisions:
    """Return every relation at or above its threshold.

    ``parts`` is (P, C, 3) for the C relations that all of these pairs may have; ``pairs`` (P,) and ``relations`` (C,)
    are the numbers that they go by.
    """
    similarity = _rounded(parts.sum(axis=2, dtype=np.float64))
    score = _rounded(rules.calibration.probability(similarity.astype(np.float32)))
    row, column = np.nonzero(score >= rules.thresholds[relations])
    chosen = similarity[row, column]
    ends = _rounded(parts[row, column, :2].astype(np.float64))
    # The difference, not the context's own rounding, so that the three parts sum to the similarity.
    context = _rounded(chosen - ends.sum(axis=1))
    return Decisions(
        pair=pairs[row],
        relation=relations[column],
        score=score[row, column],
        similarity=chosen,
        parts=np.column_stack([ends, context]),
        margin=_margins(similarity, row, column),
    )


def one_per_fact(decisions: Decisions, ends: NDArray[np.int64], rivals: Sequence[frozenset[int]]) -> Decisions:
    """Leave out what says the same as a better decision between the same two mentions, or the contrary."""
    return decisions.take(np.flatnonzero(said_by(decisions, ends, rivals) < 0))


def said_by(decisions: Decisions, ends: NDArray[np.int64], rivals: Sequence[frozenset[int]]) -> NDArray[np.int64]:
    """Return (N,): the row of the decision that stays in a row's place, its rival; −1 for one that stays.

    The higher similarity stays. On a tie it is the relation that comes first in the file, and of the two orders of one
    relation the one whose head comes first in the text.
    """
    said = np.full(len(decisions), -1, dtype=np.int64)
    heads, tails = ends[decisions.pair, 0], ends[decisions.pair, 1]
    order = np.lexsort((tails, heads, decisions.relation, -decisions.similarity))
    kept: dict[tuple[int, int, int], int] = {}
    for rank, position in enumerate(order):
        head, tail, relation = int(heads[position]), int(tails[position]), int(decisions.relation[position])
        said_before = ((*both, rival) for rival in rivals[relation] for both in ((head, tail), (tail, head)))
        better = [kept[fact] for fact in said_before if fact in kept]
        if better:
            said[position] = order[min(better)]
        else:
            kept[head, tail, relation] = rank
    return said


def best_per_pair(decisions: Decisions, most: int) -> Decisions:
    """Sort by pair, score (best first) and order in the relations file, and keep the first ``most`` of each pair."""
    order = np.lexsort((decisions.relation, -decisions.similarity, -decisions.score, decisions.pair))
    ordered = decisions.take(order)
    first = np.searchsorted(ordered.pair, ordered.pair, side="left")
    return ordered.take(np.flatnonzero(np.arange(len(ordered)) - first < most))


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to four decimals, and never to a negative zero."""
    rounded: NDArray[np.float64] = np.round(values, DECIMALS) + 0.0
    return rounded


def _margins(similarity: NDArray[np.float64], row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far each chosen (row, column) lies above the best other column of its row."""
    if not len(row):
        return np.zeros(0)
    rows = np.arange(len(similarity))
    best = similarity.argmax(axis=1)
    without = similarity.copy()
    without[rows, best] = -np.inf
    others = np.where(column == best[row], without.max(axis=1)[row], similarity[rows, best][row])
    margins = _rounded(similarity[row, column] - others)
    return np.where(np.isfinite(others), margins, np.nan)


def _alike(
    allowed: NDArray[np.bool_], which: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield groups of pairs that may have the same relations: these relations, and the pairs' positions."""
    numbers: dict[bytes, int] = {}
    group = np.asarray([numbers.setdefault(row.tobytes(), len(numbers)) for row in allowed], dtype=np.int64)
    own = group[which]
    for number, row in enumerate(numbers):
        columns = np.flatnonzero(np.frombuffer(row, dtype=np.bool_))
        positions = np.flatnonzero(own == number)
        if len(columns) and len(positions):
            yield columns, positions


def _taken(vectors: PairVectors, rows: NDArray[np.int64]) -> PairVectors:
    """Return some of the pairs, with their mentions alone."""
    used, pairs = used_mentions(vectors.pairs[rows], len(vectors.mentions))
    return replace(
        vectors,
        mentions=vectors.mentions[used],
        contexts=vectors.contexts[rows],
        pairs=pairs,
        kept=vectors.kept[rows],
    )


def _joined(found: Sequence[Decisions]) -> Decisions:
    if not found:
        nothing, numbers = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Decisions(numbers, numbers, nothing, nothing, np.zeros((0, 3)), nothing)
    return Decisions(
        *(
            np.concatenate([getattr(decisions, name) for decisions in found])
            for name in ("pair", "relation", "score", "similarity", "parts", "margin")
        )
    )
