"""From similarities to decisions: type masks, calibrated scores, thresholds, and one triple per fact and pair.

Everything is rounded to four decimals before it is compared, so that a decision doesn't hang on how the
work was divided into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsre.relations.contract import Calibration, Contract
from zsre.relations.errors import RelationsFileError
from zsre.relations.relation import BROAD_TYPES, RelationSet, understood_types
from zsre.relations.vectors import PairVectors
from zsre.runner.screening import close_pairs, near_similarities, used_mentions

#: The types of a pair's head and tail.
Types = tuple[str | None, str | None]
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


@dataclass(frozen=True)
class Rules:
    """What makes a scored pair a triple: thresholds (R,) on the score, and how many relations a pair may have.

    ``rivals`` gives, for each relation, those of which only one comes out between two mentions: itself, in the better
    order, and its inverse. The other order says the same if the relation is symmetric, and the contrary if it isn't:
    who bought a company was not bought by it.
    """

    calibration: Calibration
    thresholds: NDArray[np.float64]
    rivals: tuple[frozenset[int], ...]
    max_relations: int = 3


def make_rules(relations: RelationSet, contract: Contract, threshold: float | None, max_relations: int) -> Rules:
    """Combine a relation's own threshold, else ``threshold``, else the model's, with the rest.

    The calibration is the relations file's, if it has one, else the model's. Raises RelationsFileError for one that
    was fitted to another model.
    """
    calibration = contract.calibration
    if own := relations.calibration:
        if own.model != contract.fingerprint:
            raise RelationsFileError(
                f"{relations.source}: field calibration: its scores are those of the model '{own.model}', and this is "
                f"'{contract.fingerprint}' ({contract.name}): fit it again with zsre-eval --calibrate, or take the "
                "field out, and thresholds that came with it"
            )
        calibration = Calibration(own.slope, own.intercept, calibration.threshold, f"as {relations.source} says")
    default = calibration.threshold if threshold is None else threshold
    chosen = [relation.threshold for relation in relations]
    return Rules(
        calibration=calibration,
        thresholds=np.asarray([default if value is None else value for value in chosen], dtype=np.float64),
        rivals=tuple(found | {index} for index, found in enumerate(swap_partners(relations))),
        max_relations=max_relations,
    )


def swap_partners(relations: RelationSet) -> tuple[frozenset[int], ...]:
    """Return, for each relation, the positions of those that say the same with head and tail swapped."""
    partners: list[set[int]] = [{index} if relation.symmetric else set() for index, relation in enumerate(relations)]
    for index, relation in enumerate(relations):
        if relation.inverse is not None and relation.inverse in relations:
            other = relations.index(relation.inverse)
            partners[index].add(other)
            partners[other].add(index)
    return tuple(frozenset(found) for found in partners)


class TypeMask:
    """Which relations allow which types of head and tail, worked out once per pair of types.

    Types that no relation names all count as one, so that labels from a corpus cannot make it grow.
    """

    def __init__(self, relations: RelationSet) -> None:
        self._relations = relations
        self._named = frozenset(name for relation in relations for name in (*relation.head.types, *relation.tail.types))
        self._rows: dict[Types, NDArray[np.bool_]] = {}

    def row(self, head_type: str | None, tail_type: str | None) -> NDArray[np.bool_]:
        """Return (R,): whether each relation allows the two types in this order."""
        key = self._known(head_type), self._known(tail_type)
        if key not in self._rows:
            self._rows[key] = np.asarray([relation.allows(*key) for relation in self._relations], dtype=np.bool_)
        return self._rows[key]

    def admits(self, head_type: str | None, tail_type: str | None) -> bool:
        """Tell whether any relation allows the two types in this order."""
        return bool(self.row(head_type, tail_type).any())

    def rows(self, types: Sequence[Types]) -> NDArray[np.bool_]:
        """Return (P, R) for the head and tail types of P pairs."""
        if not types:
            return np.zeros((0, len(self._relations)), dtype=np.bool_)
        return np.stack([self.row(head, tail) for head, tail in types])

    def named(self, types: Iterable[str | None]) -> frozenset[str]:
        """Return those of the types that a relation names."""
        return self._named.intersection(understood_types(name for name in types if name is not None))

    def unnamed(self, types: Iterable[str | None]) -> list[str]:
        """Return those of the types that no relation names, not even by what they stand for; none if none names any."""
        if not self._named:
            return []
        return [name for name in types if name is not None and self._named.isdisjoint(understood_types([name]))]

    def unseen(self, seen: Collection[str]) -> list[str]:
        """Return the types that relations name but that aren't among ``seen``, sorted."""
        return sorted(self._named.difference(seen))

    def _known(self, entity_type: str | None) -> str | None:
        known = entity_type is None or entity_type in self._named or entity_type in BROAD_TYPES
        return entity_type if known else ""


@dataclass(frozen=True, slots=True)
class PairTypes:
    """The types of head and tail of P pairs: those that occur, and which of them each pair has, (P,)."""

    distinct: tuple[Types, ...]
    which: NDArray[np.int64]

    @classmethod
    def of(cls, types: Iterable[Types]) -> PairTypes:
        """Number the types of pairs through."""
        numbers: dict[Types, int] = {}
        which = [numbers.setdefault(own, len(numbers)) for own in types]
        return cls(tuple(numbers), np.asarray(which, dtype=np.int64))


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
