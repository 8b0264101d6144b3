"""A configuration put together from files and ``--set`` flags, of which later ones override earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zsre.relations.errors import ConfigError
from zsre.relations.problems import cut
from zsre.trainer.config_yaml import flag_value

#: The names that lead to a value: those of its groups, then its own; an index where it stands in a list.
Location = tuple[Any, ...]


class ConfigLayers:
    """Plain data from several places, which remembers the place that each part of it came from."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self._brought: list[tuple[Location, str]] = []

    def add_file(self, data: Mapping[str, Any], place: str) -> None:
        """Put a file's data on top: groups of fields merge, lists and values replace."""
        self._merge(self.data, data, (), place)

    def add_flag(self, override: str) -> None:
        """Set one value as a whole, as ``--set optim.epochs=2`` does; raise ConfigError if that cannot be meant."""
        key, equals, text = override.partition("=")
        flag = f"--set {cut(override)}"
        if not equals:
            raise ConfigError(f"{flag}: expected FIELD=VALUE, as in optim.epochs=2")
        path = tuple(key.split("."))
        brought, group = path, self.data
        for depth, parent in enumerate(path[:-1], start=1):
            if parent not in group:
                brought = min(brought, path[:depth], key=len)
            group = group.setdefault(parent, {})
            if not isinstance(group, dict):
                raise ConfigError(f"{flag}: {parent!r} is not a group of fields; set it as a whole, {parent}=VALUE")
        group[path[-1]] = flag_value(text, flag)
        self._brought.append((brought, flag))

    def place_of(self, location: Sequence[object]) -> str | None:
        """Return where the value at a location came from, or None for what nothing brought."""
        names = tuple(map(str, location))
        # Where two places set the same, the last one counts.
        return next((place for path, place in reversed(self._brought) if names[: len(path)] == path), None)

    def _merge(self, group: dict[str, Any], data: Mapping[str, Any], above: Location, place: str) -> None:
        for name, value in data.items():
            old = group.get(name)
            if isinstance(old, dict) and isinstance(value, Mapping):
                self._merge(old, value, (*above, str(name)), place)
            else:
                group[name] = _copied(value)
                self._brought.append(((*above, str(name)), place))


def _copied(value: Any) -> Any:
    """Copy groups, which later layers write into."""
    return {name: _copied(inner) for name, inner in value.items()} if isinstance(value, Mapping) else value
