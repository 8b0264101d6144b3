"""Typed values out of the mappings of a YAML file; each problem is noted with its place, and reading goes on."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

import yaml

from zsre.relations.problems import Problems, cut
from zsre.relations.yaml_guard import TAG_PREFIX

#: What YAML makes of a plain word that someone meant as text.
_READ_AS: Final = {
    TAG_PREFIX + "bool": "true or false",
    TAG_PREFIX + "int": "a number",
    TAG_PREFIX + "float": "a number",
    TAG_PREFIX + "timestamp": "a date",
    TAG_PREFIX + "merge": "a merge key",
    TAG_PREFIX + "value": "a default value",
}
_MOST_DIGITS: Final = 100
_OPTIONAL: Final = "write one or remove the line"


class Fields:
    """The fields of one mapping. ``known`` are the keys allowed; ``prefix`` and ``owner`` go into every message."""

    def __init__(
        self, node: yaml.MappingNode, known: Collection[str], problems: Problems, prefix: str = "", owner: str = ""
    ) -> None:
        self.line = line_of(node)
        self._problems = problems
        self._prefix = prefix
        self._owner = owner
        self._nodes: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            self._take(key_node, value, known)

    def _take(self, key_node: yaml.Node, value: yaml.Node, known: Collection[str]) -> None:
        line = line_of(key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            self._problems.add(line, self.label("?"), "a key must be one of " + ", ".join(known))
            return
        key: str = key_node.value
        if key == "<<":
            self._problems.add(
                line, self.label(key), "merge keys are not read: alias a whole value, as in head: *person"
            )
        elif key not in known:
            hint = self._problems.hint(key, known) + "known keys: " + ", ".join(known)
            self._problems.add(line, self.label(key), f"unknown key: {hint}")
        elif key in self._nodes:
            first = line_of(self._nodes[key])
            self._problems.add(line, self.label(key), f"written twice, first on line {first}: keep one")
        else:
            self._nodes[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def node(self, key: str) -> yaml.Node | None:
        """Return what stands under a key, whatever it is."""
        return self._nodes.get(key)

    def line_of(self, key: str) -> int:
        """Return the line of a key's value; where the key is missing, that of the mapping."""
        return line_of(self._nodes[key]) if key in self._nodes else self.line

    def label(self, key: str) -> str:
        """Return a key as messages name it, as in ``head.types of 'P112'``."""
        return f"{self._prefix}{cut(key)}{self._owner}"

    def add_problem(self, key: str, remedy: str, value: object = None) -> None:
        """Note a problem with the value of a key."""
        self._problems.add(self.line_of(key), self.label(key), remedy, value)

    def text(self, key: str, required: str | None = None) -> str | None:
        """Return text with its white space collapsed; ``None`` if it is missing, which ``required`` makes a problem."""
        node = self._nodes.get(key)
        if node is not None:
            return self._as_text(key, node, required or _OPTIONAL)
        if required is not None:
            self.add_problem(key, f"missing: {required}")
        return None

    def texts(self, key: str) -> dict[str, int]:
        """Return a list of texts, each with its line."""
        node = self._nodes.get(key)
        found: dict[str, int] = {}
        if node is None:
            return found
        if is_null(node):
            self.add_problem(key, f"no value: {_OPTIONAL}")
            return found
        if not isinstance(node, yaml.SequenceNode):
            self.add_problem(key, f"{kind_of(node)}, not a list: put it in brackets, as in [ORG]", scalar_of(node))
            return found
        for item in node.value:
            text = self._as_text(key, item, "write one or remove the item")
            if text is not None and text in found:
                self._problems.add(line_of(item), self.label(key), "given twice: remove one", text)
            elif text is not None:
                found[text] = line_of(item)
        return found

    def fraction(self, key: str) -> float | None:
        """Return a number in [0, 1]."""
        node = self._nodes.get(key)
        if node is None:
            return None
        value = _number(node)
        if is_null(node):
            self.add_problem(key, f"no value: {_OPTIONAL}")
        elif value is None or not 0 <= value <= 1:
            self.add_problem(key, "give a number from 0 to 1, as in 0.6", scalar_of(node))
        else:
            return value
        return None

    def number(self, key: str, required: str) -> float | None:
        """Return a finite number; ``None`` if it is missing, which is a problem."""
        node = self._nodes.get(key)
        value = None if node is None else _number(node)
        if node is None:
            self.add_problem(key, f"missing: {required}")
        elif is_null(node):
            self.add_problem(key, f"no value: {required}")
        elif value is None or not math.isfinite(value):
            self.add_problem(key, "give a number, as in 12.5", scalar_of(node))
        else:
            return value
        return None

    def truth(self, key: str) -> bool:
        """Return a truth value; a missing one is false."""
        node = self._nodes.get(key)
        if node is None:
            return False
        if is_null(node):
            self.add_problem(key, f"no value: {_OPTIONAL}")
        elif node.tag == TAG_PREFIX + "bool" and node.value.lower() in yaml.SafeLoader.bool_values:
            return yaml.SafeLoader.bool_values[node.value.lower()]
        else:
            self.add_problem(key, "write true or false, without quotes", scalar_of(node))
        return False

    def _as_text(self, key: str, node: yaml.Node, remedy: str) -> str | None:
        line, label = line_of(node), self.label(key)
        if not isinstance(node, yaml.ScalarNode):
            self._problems.add(line, label, f"{kind_of(node)}, not text: {remedy}")
        elif is_null(node):
            self._problems.add(line, label, f"no value: {remedy}")
        elif node.tag != TAG_PREFIX + "str":
            kind = _READ_AS.get(node.tag, "something else than text")
            self._problems.add(line, label, f"YAML reads this as {kind}: put it in quotes", node.value)
        elif any("\ud800" <= character <= "\udfff" for character in node.value):
            self._problems.add(line, label, "half of a character (a lone surrogate): write it in full", node.value)
        elif text := " ".join(node.value.split()):
            return text
        else:
            self._problems.add(line, label, f"empty: {remedy}", node.value)
        return None


def line_of(node: yaml.Node) -> int:
    """Return the line, from 1, on which a node starts."""
    return int(node.start_mark.line) + 1


def is_null(node: yaml.Node) -> bool:
    """Tell whether a node is the value that YAML gives to a key with nothing after it."""
    return bool(node.tag == TAG_PREFIX + "null")


def kind_of(node: yaml.Node) -> str:
    """Return what a node is, for messages."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a single value"


def scalar_of(node: yaml.Node) -> str | None:
    """Return the text of a single value as it was written, ``None`` for a list or a mapping."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _number(node: yaml.Node) -> float | None:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in (TAG_PREFIX + "int", TAG_PREFIX + "float"):
        return None
    # YAML has numbers to the base of 60, 1:30:00, whose reading takes time that grows with the square of their length.
    if len(node.value) > _MOST_DIGITS:
        return None
    try:
        return float(yaml.constructor.SafeConstructor().construct_object(node))
    except (ValueError, OverflowError):
        # A tag that the text does not bear out ("!!int x"), or an integer beyond all floats.
        return None
