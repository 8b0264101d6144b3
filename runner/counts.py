"""What happened to a shard or a run, as numbers that add up: nothing is dropped without being counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

#: The fields that are sets of names or numbers by name, and how many types that no relation names are kept.
_SETS: Final = ("types_seen", "types_unnamed")
_COUNTERS: Final = ("rejects", "fields_missing")
MOST_UNNAMED: Final = 8


@dataclass
class Counts:
    """Sums over shards.

    ``lines`` = ``blank_lines`` + ``documents`` + all of ``rejects``. ``pairs`` are ordered pairs of different mentions
    in one sentence, and = ``scored_pairs`` + ``overlapping_pairs`` + ``same_name_pairs`` (both read the same) +
    ``crowded_pairs`` + ``unfitting_pairs`` (no relation allows their types) + ``long_pairs`` (further apart than the
    model reads) + ``tokenless_pairs`` (a mention without a token that the model knows). ``mentions`` includes
    ``crossing_mentions`` (within no single sentence) and ``duplicate_mentions``. ``repeated_ids`` and ``facts``
    (different ``triple_id``) are counted within shards.
    """

    shards: int = 0
    lines: int = 0
    blank_lines: int = 0
    documents: int = 0
    given_entities: int = 0
    repeated_ids: int = 0
    sentences: int = 0
    cut_sentences: int = 0
    crowded_sentences: int = 0
    mentions: int = 0
    crossing_mentions: int = 0
    duplicate_mentions: int = 0
    pairs: int = 0
    overlapping_pairs: int = 0
    same_name_pairs: int = 0
    crowded_pairs: int = 0
    unfitting_pairs: int = 0
    long_pairs: int = 0
    tokenless_pairs: int = 0
    scored_pairs: int = 0
    triples: int = 0
    facts: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    #: The entity types that occurred: those that relations name, and a few of those that none names.
    types_seen: set[str] = field(default_factory=set)
    types_unnamed: set[str] = field(default_factory=set)
    #: How many documents lacked each of the fields to be passed through.
    fields_missing: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Return the number of rejected lines."""
        return self.rejects.total()

    def add_up(self) -> bool:
        """Tell whether these can be counts at all, as those of a damaged record need not be."""
        if not all(isinstance(value, int) and value >= 0 for value in self._numbers()):
            return False
        return self.lines == self.blank_lines + self.documents + self.rejected

    def add(self, other: Counts) -> None:
        """Add the figures of another shard or run to these."""
        for name in (entry.name for entry in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, mine | theirs if isinstance(mine, set) else mine + theirs)
        self.types_unnamed = _few(self.types_unnamed)

    def add_types(self, named: Iterable[str], unnamed: Iterable[str]) -> None:
        """Take note of types that occurred."""
        self.types_seen.update(named)
        self.types_unnamed = _few(self.types_unnamed.union(unnamed))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Counts:
        """Return what `to_dict` gave, in this version or an earlier one; raise TypeError or KeyError otherwise."""
        if not isinstance(values, Mapping):
            raise TypeError("counts are no table")
        sets: dict[str, list[str]] = {name: values.get(name, []) for name in _SETS}
        if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in sets.values()):
            raise TypeError("types are no list of texts")
        counters = {"rejects": values["rejects"], "fields_missing": values.get("fields_missing", {})}
        counts = cls(
            **{
                **values,
                **{name: set(names) for name, names in sets.items()},
                **{name: Counter(numbers) for name, numbers in counters.items()},
            }
        )
        if not all(type(number) is int for number in counts._numbers()):
            raise TypeError("a count is no whole number")
        return counts

    def _numbers(self) -> list[int]:
        sums = [getattr(self, entry.name) for entry in fields(self) if entry.name not in (*_COUNTERS, *_SETS)]
        return [*sums, *(number for name in _COUNTERS for number in getattr(self, name).values())]

    def to_dict(self) -> dict[str, object]:
        """Return the figures for ``run.json``."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            **values,
            **{name: dict(sorted(getattr(self, name).items())) for name in _COUNTERS},
            **{name: sorted(getattr(self, name)) for name in _SETS},
        }


def _few(names: set[str]) -> set[str]:
    """Return a few names, the same whatever order they came in: a corpus may hold any number of them."""
    return set(sorted(names)[:MOST_UNNAMED])


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as in "1 document" and "2,000 documents"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
