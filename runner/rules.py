"""What makes a scored pair a triple: thresholds, and which decisions exclude each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsre.relations.contract import Calibration, Contract
from zsre.relations.errors import RelationsFileError
from zsre.relations.relation import RelationSet


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
