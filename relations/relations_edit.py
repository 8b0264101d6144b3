"""Write thresholds and a calibration into a relations file, and leave every other character of it as it is.

YAML libraries that keep comments still rewrite indentation, quotes and line breaks. Here the file is composed only to
learn where things stand; numbers are then put into the text itself.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import yaml

from zsre.relations.errors import OutputError, RelationsFileError
from zsre.relations.places import looked_at, real_path
from zsre.relations.relation import OwnCalibration, RelationSet
from zsre.relations.relations_file import read_relations

_BOM: Final = "\ufeff"
_UNEDITABLE: Final = "is laid out in a way that can't be edited: write its thresholds by hand"


@dataclass(frozen=True, slots=True)
class _Edit:
    """Code points ``start`` to ``end`` of a text become ``new``."""

    start: int
    end: int
    new: str


def write_thresholds(
    source: Path, target: Path, thresholds: Mapping[str, float], calibration: OwnCalibration | None
) -> RelationSet:
    """Copy a relations file with thresholds by relation id and a calibration; return what it says then.

    ``target`` may be ``source``; it is replaced in one step, or not at all. Without ``calibration`` the file keeps the
    one that it has. Raises RelationsFileError for a file that can't be read or edited, OutputError if writing fails.
    """
    # What a symbolic link stands for is replaced, and not the link.
    real = real_path(target)
    with _draft(source, real, thresholds, calibration) as (draft, after), _reporting(target):
        draft.chmod(_mode_of(real, source))
        draft.replace(real)
    return replace(after, source=str(target))


def check_editable(source: Path, target: Path) -> None:
    """Raise whatever `write_thresholds` would raise for these files; nothing is left behind."""
    with looked_at(target, OutputError):
        if target.exists() and not target.is_file():
            raise OutputError(f"{target}: is no file that could be replaced: give another name")
    thresholds = dict.fromkeys(read_relations(source).ids, 0.5)
    with _draft(source, real_path(target), thresholds, OwnCalibration("model", 1.5, -0.5)):
        pass


@contextmanager
def _draft(
    source: Path, target: Path, thresholds: Mapping[str, float], calibration: OwnCalibration | None
) -> Iterator[tuple[Path, RelationSet]]:
    """Write the edited file beside the target, and give it with what it says; remove it if it is still there then."""
    before = read_relations(source)
    text = source.read_bytes().decode("utf-8")
    mark = _BOM if text.startswith(_BOM) else ""
    try:
        edited = mark + edit_text(text.removeprefix(_BOM), thresholds, calibration)
    except yaml.YAMLError as error:
        # Reading goes by a faster loader, which lets pass what this one doesn't, such as tabs between words.
        raise RelationsFileError(f"{source}: {_UNEDITABLE}") from error
    with _reporting(target):
        number, name = tempfile.mkstemp(dir=target.parent, suffix=".yaml")
    draft = Path(name)
    try:
        with _reporting(target), os.fdopen(number, "wb") as file:
            file.write(edited.encode())
        yield draft, _checked(draft, source, before, thresholds, calibration)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _reporting(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


def edit_text(text: str, thresholds: Mapping[str, float], calibration: OwnCalibration | None) -> str:
    """Return the text of a relations file with the thresholds, and the calibration, put in; raise YAMLError."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "a file that was read"
    edits: list[_Edit] = []
    for node in _relations(root):
        values = {key.value: value for key, value in node.value}
        name = values["id" if "id" in values else "name"].value
        relation_id = " ".join(name.split())
        if relation_id in thresholds:
            edits.append(_set(text, node, "threshold", _number(thresholds[relation_id])))
    if calibration is not None:
        written = f'{{model: "{calibration.model}", slope: {calibration.slope}, intercept: {calibration.intercept}}}'
        edits.append(_set(text, root, "calibration", written))
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


def _relations(root: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
    for key, value in root.value:
        if key.value == "relations":
            yield from value.value


def _set(text: str, node: yaml.MappingNode, field: str, new: str) -> _Edit:
    """Return the edit that gives a field of a mapping its value, in the place of an old one or after its last value."""
    for key, value in node.value:
        if key.value == field:
            return _Edit(value.start_mark.index, _end(text, value), new)
    ends = [_end(text, value) for _, value in node.value if _ends_exactly(value)]
    if node.flow_style:
        return _Edit(max(ends), max(ends), f", {field}: {new}")
    newline = "\r\n" if "\r\n" in text else "\n"
    first = node.value[0][0].start_mark
    entry = " " * first.column + f"{field}: {new}"
    if not ends:
        # Of a list item, the first key shares its line with the dash, and no field can come before it.
        start = first.index - first.column
        return _Edit(start, start, entry + newline)
    line_end = text.find("\n", max(ends))
    if line_end < 0:
        return _Edit(len(text), len(text), newline + entry + newline)
    return _Edit(line_end + 1, line_end + 1, entry + newline)


def _ends_exactly(value: yaml.Node) -> bool:
    """Tell whether a value's end is where its last character is: that of a block is where the next thing begins."""
    if isinstance(value, yaml.CollectionNode):
        return bool(value.flow_style)
    return isinstance(value, yaml.ScalarNode) and value.style not in ("|", ">")


def _end(text: str, value: yaml.Node) -> int:
    """Return where a value ends, without white space that its mark may take in."""
    start, end = int(value.start_mark.index), int(value.end_mark.index)
    return start + len(text[start:end].rstrip())


def _number(value: float) -> str:
    """Return a number as it is, without an exponent."""
    return f"{Decimal(repr(value)).normalize():f}"


def _checked(
    draft: Path,
    source: Path,
    before: RelationSet,
    thresholds: Mapping[str, float],
    calibration: OwnCalibration | None,
) -> RelationSet:
    """Return what the edited file says; raise RelationsFileError if that is anything but what was meant."""
    try:
        after = read_relations(draft)
    except RelationsFileError as error:
        raise RelationsFileError(f"{source}: {_UNEDITABLE}") from error
    meant = tuple(
        replace(relation, threshold=thresholds[relation.id]) if relation.id in thresholds else relation
        for relation in before
    )
    if after.relations != meant or after.calibration != (calibration or before.calibration):
        raise RelationsFileError(f"{source}: {_UNEDITABLE}")
    return after


def _mode_of(target: Path, source: Path) -> int:
    """Return the permissions of the file that is replaced, else of the one that is copied."""
    return (target if target.exists() else source).stat().st_mode & 0o777
