"""The relations that ship, and the one place that turns ``--relations`` into a ``RelationSet``."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from zsre.relations.errors import RelationsFileError
from zsre.relations.problems import nearest
from zsre.relations.relation import RelationSet
from zsre.relations.relations_file import read_relations

#: What names the catalogue where a path may stand. A file of this name is reached as ``./wikidata``.
CATALOGUE: Final = "wikidata"
_EXAMPLE: Final = f"{CATALOGUE}:P112,P26"
_ID: Final = re.compile(r"P\d+", re.IGNORECASE)


def is_catalogue(spec: str) -> bool:
    """Tell whether ``spec`` names the catalogue, or some of it, and not a file."""
    return spec.partition(":")[0] == CATALOGUE


def load_relations(spec: str, known_types: Collection[str] | None = None) -> RelationSet:
    """Return the relations that ``spec`` names.

    ``wikidata`` is the whole catalogue; ``wikidata:P112,spouse`` picks from it in that order, by id or, where it
    holds no comma, by name; anything else is the path of a relations file, whose entity types must be among
    ``known_types`` if those are given. Raise ``RelationsFileError`` for an unknown pick or a bad file.
    """
    name, colon, picks = spec.partition(":")
    if is_catalogue(spec):
        return _pick(load_catalogue(), picks, spec) if colon else load_catalogue()
    path = Path(spec)
    if nearest(name, [CATALOGUE]) and not path.suffix and not path.exists():
        remedy = f"the catalogue that ships is named {CATALOGUE}, or {_EXAMPLE} for some of it"
        raise RelationsFileError(f"{spec}: no such file: {remedy}")
    return read_relations(path, known_types)


@cache
def load_catalogue() -> RelationSet:
    """Return all relations that ship."""
    with as_file(files("zsre.relations") / "catalogue.yaml") as path:
        # Whoever reads a message cannot mend the installed file, so lines in it would only mislead.
        return replace(read_relations(path), source=CATALOGUE, type_lines={})


def catalogue_text() -> str:
    """Return the relations that ship as the file that describes them."""
    return (files("zsre.relations") / "catalogue.yaml").read_text("utf-8")


def _pick(catalogue: RelationSet, picks: str, spec: str) -> RelationSet:
    wanted = [pick.strip() for pick in picks.split(",") if pick.strip()]
    if not wanted:
        raise RelationsFileError(f"{CATALOGUE}: no relation after the colon: pick some by id or name, as in {_EXAMPLE}")
    by_key = {key.casefold(): relation for relation in catalogue for key in (relation.name, relation.id)}
    if missing := [pick for pick in wanted if pick.casefold() not in by_key]:
        told = ", ".join(f"{pick!r}{_hint(pick, catalogue)}" for pick in missing)
        raise RelationsFileError(
            f"{spec}: the catalogue has no relation {told}; {CATALOGUE} alone takes all {len(catalogue)}"
        )
    # A dictionary, so that a relation that is picked twice comes once.
    picked = {relation.id: relation for relation in (by_key[pick.casefold()] for pick in wanted)}
    relations = (
        relation if relation.inverse in picked else replace(relation, inverse=None) for relation in picked.values()
    )
    return replace(catalogue, relations=tuple(relations), source=spec)


def _hint(wanted: str, catalogue: RelationSet) -> str:
    """Return what a name may have meant; ids that look alike mean nothing alike."""
    by_name = {relation.name: relation.id for relation in catalogue}
    meant = None if _ID.fullmatch(wanted) else nearest(wanted, by_name)
    return f" (did you mean {by_name[meant]}, {meant}?)" if meant else ""
