"""Which relations of the known data sets are the same thing under another name.

A model is zero-shot on a relation only if it has seen that relation under no name. Two strengths: ``same`` has the
same meaning, says the same thing the other way round, or is a near-duplicate that sentences don't tell apart, and
counts as seen; ``near`` is close in meaning, is named in a warning, and does not count. Published splits
care for none of this: P22 may stand on one side and P25 on the other. Their protocol counts identical ids alone
(``Overlap.identical``), which is what to compare with published figures by; a claim about unseen relations takes
``same``.

The table is ``equivalents.yaml``. Nothing is inferred across its groups, so that a chain of likenesses never joins
two relations that nobody compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import permutations
from typing import Literal, cast

import yaml

Strength = Literal["same", "near"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A relation of a data set in Wikidata's ids.

    ``forward`` hold from subject to object, ``backward`` from object to subject. ``unsure`` are narrower: from
    subject to object a fact may or may not mean one of them, but where there is no fact none of them holds.
    """

    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Every id that looking for this relation decides on."""
        return frozenset(self.forward + self.backward + self.unsure)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Tested relations that training saw, each with the seen ids that make it so, sorted.

    ``same`` includes those that are seen under their own id; ``near`` holds the tested relations that are only near.
    """

    same: Mapping[str, tuple[str, ...]]
    near: Mapping[str, tuple[str, ...]]

    @property
    def identical(self) -> frozenset[str]:
        """The tested relations seen under their own id: all that the published protocol counts."""
        return frozenset(tested for tested, seen in self.same.items() if tested in seen)


def equivalents_of(relation_id: str, strength: Strength = "same") -> frozenset[str]:
    """Return the other ids at least as close to a relation as ``strength``; none for an id that isn't in the table."""
    links = _links()
    close = links["same"].get(relation_id, frozenset())
    return close if strength == "same" else close | links["near"].get(relation_id, frozenset())


def seen_overlap(seen: Iterable[str], tested: Iterable[str]) -> Overlap:
    """Return which of the relations tested were seen in training, under whatever name."""
    known = frozenset(seen)
    same: dict[str, tuple[str, ...]] = {}
    near: dict[str, tuple[str, ...]] = {}
    for relation_id in tested:
        if matches := known & (equivalents_of(relation_id) | {relation_id}):
            same[relation_id] = tuple(sorted(matches))
        elif matches := known & equivalents_of(relation_id, "near"):
            near[relation_id] = tuple(sorted(matches))
    return Overlap(same, near)


@cache
def knowledgenet_readings() -> Mapping[str, Reading]:
    """Return KnowledgeNet's relations, by name, as Wikidata's."""
    table = cast(dict[str, dict[str, list[str]]], _table()["knowledgenet"])
    return {name: Reading(**{way: tuple(ids) for way, ids in ways.items()}) for name, ways in table.items()}


@cache
def _links() -> Mapping[Strength, Mapping[str, frozenset[str]]]:
    """Return for each strength the ids linked to each id; an id's links are the same read from either end."""
    table = _table()
    links: dict[Strength, dict[str, set[str]]] = {"same": defaultdict(set), "near": defaultdict(set)}
    for strength, by_id in links.items():
        for group in cast(list[list[str]], table[strength]):
            _link(by_id, group)
        for name, ids in cast(dict[str, dict[str, list[str]]], table["semeval"])[strength].items():
            for relation_id in ids:
                _link(by_id, [name, relation_id])
    for name, ids in cast(dict[str, list[str]], table["lessons"]).items():
        for relation_id in ids:
            _link(links["near"], [name, relation_id])
    for label, relation_id in cast(dict[str, str], table["wiki80"]).items():
        _link(links["same"], [label, relation_id])
    for name, reading in knowledgenet_readings().items():
        for relation_id in reading.ids:
            _link(links["same"], [name, relation_id])
    return {
        strength: {relation_id: frozenset(others) for relation_id, others in by_id.items()}
        for strength, by_id in links.items()
    }


def _link(by_id: Mapping[str, set[str]], group: Iterable[str]) -> None:
    for one, other in permutations(group, 2):
        by_id[one].add(other)


@cache
def _table() -> Mapping[str, object]:
    text = resources.files(__package__).joinpath("equivalents.yaml").read_text(encoding="utf-8")
    return cast(dict[str, object], yaml.safe_load(text))
