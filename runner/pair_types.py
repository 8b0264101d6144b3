"""Which relations the entity types of a pair allow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsre.relations.relation import BROAD_TYPES, RelationSet, understood_types

#: The types of a pair's head and tail.
Types = tuple[str | None, str | None]


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
