"""Read published zero-shot splits, and the relation texts that published figures were made with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from zsre.relations.catalogue import load_relations
from zsre.relations.reader_record import Record, listed_records
from zsre.relations.reader_source import Place, read_json
from zsre.relations.relation import Argument, Relation, RelationSet


@dataclass(frozen=True, slots=True)
class Split:
    """The relation ids that are trained on, chosen on and tested; no id is in two of them.

    Everything that is chosen (epochs, settings, thresholds) is chosen on ``eval``.
    """

    train: tuple[str, ...]
    eval: tuple[str, ...]
    test: tuple[str, ...]


def read_split(path: Path) -> Split:
    """Read ``{"train": [ids], "eval": [ids], "test": [ids]}``; raise ``DataError`` if an id occurs twice."""
    record = Record(read_json(path), Place(str(path)))
    split = Split(*(tuple(record.strings(part)) for part in ("train", "eval", "test")))
    times = Counter(split.train + split.eval + split.test)
    repeated = [relation_id for relation_id, count in times.items() if count > 1]
    if repeated:
        raise record.place.error(
            f"{', '.join(repeated)} occurs more than once; each relation belongs to one of train, eval and test"
        )
    return split


def read_published_relations(path: Path) -> RelationSet:
    """Read ``[{"relation", "description", "head": [terms], "tail": [terms]}]``, as RE-Matching published it.

    A description there reads "NAME is DESCRIPTION", which is taken apart; without " is " the id is the name.
    """
    relations: dict[str, Relation] = {}
    for record in listed_records(path, "relation"):
        relation_id = record.string("relation")
        if relation_id in relations:
            raise record.error("relation", f'"{relation_id}" was described before; keep one description of it')
        head, tail = (Argument(terms=tuple(record.strings(end))) for end in ("head", "tail"))
        name, found, description = record.string("description").partition(" is ")
        if not found:
            name, description = relation_id, name
        relations[relation_id] = Relation(relation_id, name, description, head, tail)
    return RelationSet(tuple(relations.values()), source=str(path))


def load_described(spec: str) -> RelationSet:
    """Load relations for training or measuring: whatever `load_relations` takes, or a published ``.json`` list."""
    if spec.endswith(".json"):
        return read_published_relations(Path(spec))
    return load_relations(spec)
