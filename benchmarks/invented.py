"""Relations files of any length, made by combining words; the same ones every time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

#: Words for a tail, each with the types that it may have.
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "founder": ("PERSON", "ORG"),
    "owner": ("PERSON", "ORG"),
    "director": ("PERSON",),
    "designer": ("PERSON", "ORG"),
    "sponsor": ("ORG", "PERSON", "GPE"),
    "patron": ("PERSON",),
    "rival": ("PERSON", "ORG", "PRODUCT"),
    "successor": ("PERSON", "ORG", "PRODUCT", "EVENT"),
    "member": ("PERSON", "ORG", "GPE"),
    "partner": ("PERSON", "ORG"),
    "neighbour": ("GPE", "LOC", "FAC"),
    "site": ("GPE", "LOC", "FAC"),
    "birthplace": ("GPE", "LOC"),
    "headquarters": ("GPE", "FAC"),
    "source": ("LOC", "ORG", "WORK_OF_ART"),
    "opening day": ("DATE",),
    "closing year": ("DATE",),
    "budget": ("MONEY", "CARDINAL"),
    "language": ("LANGUAGE", "NORP"),
    "emblem": ("WORK_OF_ART", "PRODUCT"),
}
#: Words for a head, each with the types that it may have.
THINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "company": ("ORG",),
    "school": ("ORG", "FAC"),
    "club": ("ORG",),
    "army": ("ORG", "NORP"),
    "bridge": ("FAC",),
    "museum": ("ORG", "FAC"),
    "town": ("GPE",),
    "country": ("GPE",),
    "river": ("LOC",),
    "island": ("LOC", "GPE"),
    "festival": ("EVENT",),
    "battle": ("EVENT",),
    "novel": ("WORK_OF_ART",),
    "album": ("WORK_OF_ART",),
    "ship": ("PRODUCT", "FAC"),
    "engine": ("PRODUCT",),
    "treaty": ("LAW", "EVENT"),
    "statute": ("LAW",),
    "scholar": ("PERSON",),
    "singer": ("PERSON",),
}
QUALITIES: Final = (
    "first", "last", "former", "present", "principal", "honorary", "acting", "secret", "legal", "official", "major",
    "minor", "joint", "sole", "royal", "northern", "southern", "eastern", "western", "early", "late", "temporary",
    "elected", "disputed", "famous",
)  # fmt: skip
MOST: Final = len(ROLES) * len(THINGS) * len(QUALITIES)


def write_relations(path: Path, count: int, typed: bool) -> None:
    """Write a relations file with one relation on a line."""
    lines = [f"- {json.dumps(relation)}" for relation in relations(count, typed)]
    path.write_text("\n".join(["relations:", *lines]) + "\n", encoding="utf-8")


def relations(count: int, typed: bool) -> Iterator[dict[str, Any]]:
    """Yield ``count`` relations, no two alike, of all kinds however few are taken.

    Untyped relations differ from typed ones in that alone.
    """
    assert 0 <= count <= MOST
    combinations = list(product(QUALITIES, ROLES, THINGS))
    for number in range(count):
        # The stride shares no factor with the number of combinations, so that each comes up once, far from the last.
        quality, role, thing = combinations[number * 6181 % MOST]
        relation: dict[str, Any] = {
            "id": f"R{number:05}",
            "name": f"{quality} {role}",
            "description": f"the {quality} {role} of this {thing}, as the text says it",
        }
        if typed:
            relation["head"] = {"types": list(THINGS[thing]), "terms": [thing]}
            relation["tail"] = {"types": list(ROLES[role]), "terms": [role]}
        else:
            relation["head"], relation["tail"] = {"terms": [thing]}, {"terms": [role]}
        yield relation
