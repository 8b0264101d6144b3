"""Reading ``relations.yaml``: what someone is looking for, in their own words.

Every problem of a file is gathered and told in one go, each with file, line, field, value and remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from zsre.relations.problems import Problems, shorten, some_of
from zsre.relations.relation import Argument, OwnCalibration, Relation, RelationSet
from zsre.relations.yaml_fields import Fields, is_null, kind_of, line_of, scalar_of
from zsre.relations.yaml_source import read_yaml

_TOP_KEYS: Final = ("relations", "types", "calibration")
_CALIBRATION_KEYS: Final = ("model", "slope", "intercept")
_RELATION_KEYS: Final = ("id", "name", "description", "head", "tail", "threshold", "symmetric", "inverse")
_END_KEYS: Final = ("types", "terms")
_ENDS: Final = ("head", "tail")

_NAME_REMEDY: Final = "give the relation a short name, as in 'founded by'"
_DESCRIPTION_REMEDY: Final = "say in a phrase what the relation means, as in 'the person who founded the organisation'"
_CALIBRATION_REMEDY: Final = "leave it as zsre-eval --calibrate wrote it, with model, slope, intercept, or remove it"
_LIST_REMEDY: Final = "list the relations under 'relations:', each starting with '- name:'"

#: Line of each entity type, by relation id, end and type.
TypeLines = Mapping[tuple[str, str, str], int]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A relation as the file states it, still without regard to the others; its id is empty if it was bad."""

    relation: Relation
    fields: Fields
    type_lines: TypeLines
    owner: str

    @property
    def id_line(self) -> int:
        return self.fields.line_of("id" if "id" in self.fields else "name")


def read_relations(path: Path, known_types: Collection[str] | None = None) -> RelationSet:
    """Read a relations file; raise ``RelationsFileError`` with all that is wrong with it.

    ``known_types`` are the entity types that there are besides those the file declares. Without them types are
    taken as they are: which ones exist depends on the pipeline, so ``check_types`` comes later.
    """
    root = read_yaml(path)
    problems = Problems(str(path))
    if not isinstance(root, yaml.MappingNode):
        remedy = "put the list under 'relations:'" if isinstance(root, yaml.SequenceNode) else _LIST_REMEDY
        problems.add(line_of(root), "(top level)", f"{kind_of(root)}, not a mapping: {remedy}", scalar_of(root))
        problems.raise_any()
    assert isinstance(root, yaml.MappingNode)
    top = Fields(root, _TOP_KEYS, problems)
    types = tuple(top.texts("types"))
    calibration = _read_calibration(top, problems)
    # With a bad declaration of types, "unknown entity type" could be untrue.
    allowed = None if known_types is None or problems else _in_order({*known_types, *types})
    entries = [_read_entry(node, number, problems) for number, node in enumerate(_relation_nodes(top), start=1)]
    read = [entry for entry in entries if entry is not None]
    _check_ids(read)
    # With an id missing, "no relation has this id" could be untrue.
    complete = len(read) == len(entries) and all(entry.relation.id for entry in read)
    relations = _link_inverses(read, problems) if complete else []
    for entry in read:
        if allowed is not None:
            _check_ends(entry.relation, entry.owner, entry.type_lines, allowed, problems)
    problems.raise_any()
    lines = {key: line for entry in read for key, line in entry.type_lines.items()}
    return RelationSet(tuple(relations), types, str(path), lines, calibration)


def check_types(relations: RelationSet, known: Collection[str]) -> None:
    """Raise ``RelationsFileError`` for entity types that are neither ``known`` nor declared by the file.

    ``known`` are the labels of the entity pipeline. A type that nothing can have would never match.
    """
    allowed = _in_order({*known, *relations.types})
    problems = Problems(relations.source or "relations")
    for relation in relations:
        _check_ends(relation, f" of {shorten(relation.id)}", relations.type_lines, allowed, problems)
    problems.raise_any()


def _in_order(names: Iterable[str]) -> dict[str, None]:
    """Return names in an order to be listed in, and as quickly found as in a set."""
    return dict.fromkeys(sorted(names))


def _check_ends(relation: Relation, owner: str, lines: TypeLines, allowed: Collection[str], problems: Problems) -> None:
    """Note the entity types of a relation that aren't allowed; ``owner`` is how messages call the relation."""
    for end, argument in (("head", relation.head), ("tail", relation.tail)):
        for entity_type in argument.types:
            if entity_type in allowed:
                continue
            remedy = (
                f"unknown entity type: {problems.hint(entity_type, allowed)}known: {some_of(allowed)}; "
                "declare others in a top-level list 'types:'"
            )
            problems.add(lines.get((relation.id, end, entity_type)), f"{end}.types{owner}", remedy, entity_type)


def _read_calibration(top: Fields, problems: Problems) -> OwnCalibration | None:
    node = top.node("calibration")
    if node is None:
        return None
    if not isinstance(node, yaml.MappingNode):
        top.add_problem("calibration", f"{kind_of(node)}, not a mapping: {_CALIBRATION_REMEDY}", scalar_of(node))
        return None
    fields = Fields(node, _CALIBRATION_KEYS, problems, prefix="calibration.")
    model = fields.text("model", required=_CALIBRATION_REMEDY)
    slope, intercept = (fields.number(key, required=_CALIBRATION_REMEDY) for key in ("slope", "intercept"))
    if slope is not None and slope <= 0:
        fields.add_problem("slope", "must be above 0, or a better match would score less", slope)
    return OwnCalibration(model or "", slope or 0.0, intercept or 0.0)


def _relation_nodes(top: Fields) -> list[yaml.Node]:
    node = top.node("relations")
    if node is None:
        top.add_problem("relations", f"missing: {_LIST_REMEDY}")
    elif isinstance(node, yaml.SequenceNode) and node.value:
        return list(node.value)
    elif isinstance(node, yaml.SequenceNode) or is_null(node):
        top.add_problem("relations", f"empty: {_LIST_REMEDY}")
    else:
        top.add_problem("relations", f"{kind_of(node)}, not a list: {_LIST_REMEDY}", scalar_of(node))
    return []


def _read_entry(node: yaml.Node, number: int, problems: Problems) -> _Entry | None:
    if not isinstance(node, yaml.MappingNode):
        remedy = f"{kind_of(node)}, not a mapping: give it a name and a description, '- name: …'"
        problems.add(line_of(node), f"relations, item {number}", remedy, scalar_of(node))
        return None
    owner = f" of {_label(node, number)}"
    fields = Fields(node, _RELATION_KEYS, problems, owner=owner)
    name = fields.text("name", required=_NAME_REMEDY)
    relation_id = fields.text("id") if "id" in fields else name
    type_lines: dict[tuple[str, str, str], int] = {}
    ends: dict[str, Argument] = {}
    for end in _ENDS:
        types, terms = _read_end(fields, end, problems, owner)
        ends[end] = Argument(tuple(types), terms)
        type_lines.update({(relation_id or "", end, entity_type): line for entity_type, line in types.items()})
    relation = Relation(
        id=relation_id or "",
        name=name or "",
        description=fields.text("description", required=_DESCRIPTION_REMEDY) or "",
        head=ends["head"],
        tail=ends["tail"],
        threshold=fields.fraction("threshold"),
        symmetric=fields.truth("symmetric"),
        inverse=fields.text("inverse"),
    )
    if relation.symmetric:
        _check_symmetric(relation, fields)
    return _Entry(relation, fields, type_lines, owner)


def _label(node: yaml.MappingNode, number: int) -> str:
    """Return how messages call a relation: its id, else its name, else its place in the list."""
    values = {key.value: scalar_of(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    chosen = values.get("id") or values.get("name")
    return shorten(chosen) if chosen else f"relation {number}"


def _read_end(fields: Fields, end: str, problems: Problems, owner: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the types of one end, with their lines, and its terms; a bare list is a list of types."""
    node = fields.node(end)
    if isinstance(node, yaml.MappingNode):
        inner = Fields(node, _END_KEYS, problems, prefix=f"{end}.", owner=owner)
        return inner.texts("types"), tuple(inner.texts("terms"))
    if isinstance(node, yaml.SequenceNode):
        return fields.texts(end), ()
    if node is not None:
        remedy = "write a list of entity types, [PERSON, ORG], or {types: […], terms: […]}"
        fields.add_problem(end, "no value: " + remedy if is_null(node) else remedy, scalar_of(node) or None)
    return {}, ()


def _check_symmetric(relation: Relation, fields: Fields) -> None:
    if relation.inverse is not None:
        remedy = "a symmetric relation reads the same both ways: remove inverse or symmetric"
        fields.add_problem("inverse", remedy, relation.inverse)
    if set(relation.head.types) != set(relation.tail.types):
        remedy = "head and tail of a symmetric relation change places: give both the same types, or remove symmetric"
        fields.add_problem("symmetric", remedy)


def _check_ids(entries: list[_Entry]) -> None:
    first: dict[str, _Entry] = {}
    for entry in entries:
        relation_id = entry.relation.id
        if relation_id and relation_id in first:
            key, remedy = _clash(entry, first[relation_id])
            entry.fields.add_problem(key, remedy, relation_id)
        first.setdefault(relation_id, entry)


def _clash(entry: _Entry, first: _Entry) -> tuple[str, str]:
    """Return the field that gives an entry the id that an earlier one has, and what is wrong with it."""
    line = first.id_line
    if "id" in entry.fields:
        by_name = "" if "id" in first.fields else ", where the name serves as id"
        return "id", f"the id is used already on line {line}{by_name}: give each an id of its own"
    if "id" in first.fields:
        return "name", f"without an id the name serves as id, and line {line} has that id already: give this one an id"
    return "name", f"two relations have this name (the other on line {line}), and it serves as id: give one an id"


def _link_inverses(entries: list[_Entry], problems: Problems) -> list[Relation]:
    """Check every ``inverse`` and complete it: written at one end, it holds at both."""
    by_id = {entry.relation.id: entry.relation for entry in entries}
    id_of = {relation.name: relation.id for relation in reversed(by_id.values())}
    inverse_of: dict[str, str] = {}
    for entry in entries:
        relation = entry.relation
        if relation.inverse is None or relation.symmetric:
            continue
        if relation.inverse != relation.id and relation.inverse not in by_id:
            meant = id_of.get(relation.inverse)
            hint = problems.hint(relation.inverse, by_id) if meant is None else f"did you mean {shorten(meant)}? "
            remedy = f"no relation here has this id: {hint}name one that is in the file, or remove inverse"
            entry.fields.add_problem("inverse", remedy, relation.inverse)
        elif (wrong := _inverse_remedy(relation, by_id, inverse_of)) is not None:
            entry.fields.add_problem("inverse", wrong, relation.inverse)
        else:
            inverse_of.update({relation.id: relation.inverse, relation.inverse: relation.id})
    return [replace(entry.relation, inverse=inverse_of.get(entry.relation.id)) for entry in entries]


def _inverse_remedy(relation: Relation, by_id: dict[str, Relation], inverse_of: dict[str, str]) -> str | None:
    """Return what is wrong with a relation's inverse, which is in the file; ``None`` if it is right."""
    inverse = relation.inverse
    assert inverse is not None
    if inverse == relation.id:
        return "a relation is no inverse of itself: write 'symmetric: true' instead"
    if by_id[inverse].symmetric:
        return f"{shorten(inverse)} is symmetric and has no inverse: remove inverse"
    theirs = by_id[inverse].inverse or inverse_of.get(inverse, relation.id)
    if theirs != relation.id:
        return f"{shorten(inverse)} is the inverse of {shorten(theirs)}: two relations must name each other"
    return None
