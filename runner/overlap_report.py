"""What people and logs are told of the relations that a model has seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zsre.relations.contract import Contract
from zsre.relations.equivalents import Overlap
from zsre.relations.relation import RelationSet
from zsre.runner.evaluate import some


def overlap_lines(
    overlap: Overlap, relations: RelationSet, contract: Contract, unstated: Sequence[str], by: str
) -> list[str]:
    """Say what the model was trained on, and which of the measured relations it had seen.

    ``unstated`` are the relations that no label states; ``by`` is what states the others.
    """
    ids = relations.ids
    source = ", ".join(contract.seen_data) or "data that it does not name"
    zero_shot = f"zero-shot, so not trained on under any known name: {_unseen(overlap, ids)} of {len(ids)} relations"
    if missing := frozenset(unstated):
        stated = [relation for relation in ids if relation not in missing]
        zero_shot += f"; {_unseen(overlap, stated)} of the {len(stated)} that {by} state"
    lines = [f"the model was trained on {len(contract.seen_relations)} relations of {source}", zero_shot]
    for what, found in (
        ("not zero-shot, trained on", dict.fromkeys(sorted(overlap.identical), "")),
        ("not zero-shot, trained on under another name", _pointers("as", seen_by_other_name(overlap))),
        ("zero-shot, but close in meaning to one trained on", _pointers("close to", overlap.near)),
    ):
        if found:
            names = [f"{named(relations, relation)}{pointer}" for relation, pointer in found.items()]
            lines.append(f"  {what} ({len(found)}): {some(names, separator='; ')}")
    return lines


def overlap_figures(overlap: Overlap) -> dict[str, Any]:
    """Return what is logged of the overlap with training."""
    return {
        "seen": sorted(overlap.identical),
        "seen_by_other_name": {key: list(ids) for key, ids in seen_by_other_name(overlap).items()},
        "near": {key: list(ids) for key, ids in overlap.near.items()},
    }


def seen_mark(overlap: Overlap, relation: str) -> str:
    """Say of one relation whether it was seen in training; nothing of one that was not."""
    if seen := overlap.same.get(relation):
        return "yes" if relation in seen else f"as {'/'.join(seen)}"
    return f"close: {'/'.join(overlap.near[relation])}" if relation in overlap.near else ""


def seen_by_other_name(overlap: Overlap) -> dict[str, tuple[str, ...]]:
    """Return the relations that were seen, but not under their own id, with the ids they were seen under."""
    return {relation: seen for relation, seen in overlap.same.items() if relation not in seen}


def named(relations: RelationSet, relation: str) -> str:
    """Return a relation's id and name, once if they are one."""
    name = relations[relation].name
    return relation if name == relation else f"{relation} {name}"


def _unseen(overlap: Overlap, ids: Sequence[str]) -> int:
    return sum(relation not in overlap.same for relation in ids)


def _pointers(what: str, ids: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {relation: f" ({what} {'/'.join(seen)})" for relation, seen in ids.items()}
