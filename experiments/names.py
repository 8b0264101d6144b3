"""Names that a command line gives, separated by commas."""

from __future__ import annotations

from collections.abc import Collection

from zsre.relations.errors import UsageError


def chosen(flag: str, text: str | None, known: Collection[str]) -> tuple[str, ...]:
    """Return the names of a list with commas, or all; raise UsageError for one that is not known."""
    names = tuple(known) if text is None else tuple(text.split(","))
    for name in names:
        if name not in known:
            raise UsageError(f"{flag} {text}: there is no {name!r}; give some of {','.join(known)}")
    return names
