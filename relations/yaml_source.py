"""From a YAML file to nodes that know their lines; what could harm or mislead is refused on the way.

Nodes rather than Python values, because only nodes have positions, and because nothing is built from a tag.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from zsre.relations.errors import RelationsFileError
from zsre.relations.problems import did_you_mean
from zsre.relations.yaml_guard import TAG_PREFIX, YamlGuard

MAX_BYTES: Final = 8 * 2**20

#: Ten times as fast as the pure Python loader, which takes its place where PyYAML was built without libyaml.
LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SYNTAX_REMEDIES: Final = {
    "mapping values are not allowed": "put text that holds ': ' in quotes",
    "found undefined alias": "put text that starts with '*' in quotes",
    "found duplicate anchor": "give each '&' name once",
    "but found another document": "keep one document, without '---' between parts",
    "unexpected end of stream": "close the quotes",
    "did not find expected ',' or": "close the bracket",
    "expected ',' or": "close the bracket",
}
_SYNTAX_REMEDY: Final = "check indentation, quotes and colons here"


def read_yaml(path: Path) -> yaml.Node:
    """Read a YAML file into its root node.

    Raise ``RelationsFileError`` for a file that cannot be read, is longer than ``MAX_BYTES``, isn't UTF-8 or YAML, is
    empty, asks for Python objects by tag, or nests or repeats itself (aliases) beyond all need.
    """
    text = _decode(_read_bytes(path), path)
    try:
        guard = YamlGuard(str(path))
        for event in yaml.parse(text, Loader=LOADER):
            guard.check(event)
        root: yaml.Node | None = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        raise RelationsFileError(_syntax_message(error, text, path)) from None
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == TAG_PREFIX + "null"):
        raise RelationsFileError(f"{path}:1: the file is empty: list at least one relation under 'relations:'")
    return root


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RelationsFileError(f"{path}: no such file: {_missing_remedy(path)}") from None
    except IsADirectoryError:
        raise RelationsFileError(f"{path}: a folder, not a file: name the YAML file in it") from None
    except OSError as error:
        raise RelationsFileError(
            f"{path}: cannot be read: {error.strerror}: check the path and its permissions"
        ) from None
    if len(content) > MAX_BYTES:
        raise RelationsFileError(
            f"{path}: larger than {MAX_BYTES // 2**20} MiB: is this a relations file? If so, split it"
        )
    return content


def _missing_remedy(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist either; check the path"
    names: list[str] = []
    with suppress(OSError):
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    return did_you_mean(path.name, names) + "check the path"


def _decode(content: bytes, path: Path) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RelationsFileError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from None
    # Both loaders refuse these too, but each with a position of another kind and none with a line.
    if control := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise RelationsFileError(
            f"{path}:{line}: character U+{ord(control.group()):04X} is not allowed in YAML: remove it"
        )
    return text


def _syntax_message(error: yaml.MarkedYAMLError, text: str, path: Path) -> str:
    lines = text.splitlines() or [""]
    mark = error.problem_mark or error.context_mark
    assert mark is not None, "a syntax error has a place"
    # An error at the end of the file is marked on the line after the last.
    line = min(mark.line, len(lines) - 1)
    character = lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else ""
    began = "" if error.context_mark is None else f"{error.context} (line {error.context_mark.line + 1}), "
    problem = f"{began}{error.problem}"
    remedy = next((remedy for part, remedy in _SYNTAX_REMEDIES.items() if part in problem), _SYNTAX_REMEDY)
    if "cannot start any token" in problem:
        tab = character == "\t"
        remedy = "indent with spaces, not tabs" if tab else f"put text that starts with {character!r} in quotes"
    return f"{path}:{line + 1}: column {mark.column + 1}: not valid YAML: {problem}: {remedy}"
