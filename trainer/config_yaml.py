"""YAML of a configuration, a file's or a flag's, as plain data; what could harm or mislead is refused on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from zsre.relations.errors import ConfigError, RelationsFileError
from zsre.relations.problems import shorten
from zsre.relations.yaml_guard import YamlGuard
from zsre.trainer.fields import found


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """Return the groups of fields that a file holds; raise ConfigError if it isn't a mapping of ``what``."""
    data = _read(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping {what} (found {found(data)})")
    if "relations" in data and "data" not in data:
        raise ConfigError(
            f"{path}: is a relations file, which zsre-extract takes; give zsre-train a configuration, which begins "
            "with the labelled files to train on, data: [{path: …}]: see configs/ and docs/training.md"
        )
    return data


def flag_value(text: str, flag: str) -> object:
    """Return the value that a flag gives; raise ConfigError if it isn't YAML."""
    try:
        return _plain_data(text, flag)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{flag}: {shorten(text)} is not a YAML value") from error


def _read(path: Path) -> object:
    try:
        return _plain_data(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path}{where}: not YAML: {error.problem}: check indentation, brackets and quotes"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # also a date such as 2020-13-01
        raise ConfigError(f"{path}: not YAML in UTF-8: {' '.join(str(error).split())}") from error


def _plain_data(text: str, source: str) -> object:
    """Return what YAML says; ``source`` begins the ConfigError for what is refused though it is YAML."""
    try:
        guard = YamlGuard(source)
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            guard.check(event)
    except RelationsFileError as error:
        raise ConfigError(str(error)) from error
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for first, again in () if root is None else _repeated_keys(root):
        raise ConfigError(
            f"{source}:{again.start_mark.line + 1}: {shorten(again.value)} is written twice, first on line "
            f"{first.start_mark.line + 1}: keep one"
        )
    return yaml.safe_load(text)


def _repeated_keys(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield each key that stands in a mapping again, after the one that it repeats: YAML would drop the first."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item)
    elif isinstance(node, yaml.MappingNode):
        firsts: dict[tuple[str, str], yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                first = firsts.setdefault((key.tag, key.value), key)
                if first is not key:
                    yield first, key
            yield from _repeated_keys(value)
