"""What is wrong with a file that someone wrote, gathered so that it can be mended in one go."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from zsre.relations.errors import RelationsFileError

#: Problems listed in one message; the rest are only counted.
SHOWN_PROBLEMS: Final = 10
#: Characters of a bad value that a message repeats.
SHOWN_CHARACTERS: Final = 60
_LONGEST_NAME: Final = 200
#: Names listed in a message.
SHOWN_NAMES: Final = 40


class Problems:
    """Collects the problems of one relations file and raises them together, in the order of their lines."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, line: int | None, field: str, remedy: str, value: object = None) -> None:
        """Note a problem: its line (from 1, ``None`` if unknown), field and value, and what would be right."""
        place = self._source if line is None else f"{self._source}:{line}"
        shown = "" if value is None else f"value {shorten(value)}: "
        self._found.append((line or 0, f"{place}: field {field}: {shown}{remedy}"))

    def hint(self, name: str, known: Iterable[str]) -> str:
        """Do as `did_you_mean` does while problems will be shown: to compare names takes time."""
        return did_you_mean(name, known) if len(self._found) < SHOWN_PROBLEMS else ""

    def raise_any(self) -> None:
        """Raise ``RelationsFileError`` with a line per problem if there is one."""
        if not self._found:
            return
        lines = [text for _, text in sorted(self._found, key=lambda problem: problem[0])]
        if len(lines) > SHOWN_PROBLEMS:
            lines[SHOWN_PROBLEMS:] = [f"and {len(lines) - SHOWN_PROBLEMS} more"]
        raise RelationsFileError("\n".join(lines))


def shorten(value: object) -> str:
    """Return a value as a message shows it: text in quotes, cut where it is long."""
    return cut(repr(value))


def cut(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Return a text with no more characters than ``most``, and a mark where it goes on."""
    return text if len(text) <= most else text[: most - 1] + "…"


def some_of(names: Collection[str]) -> str:
    """Return names as a message lists them: the first ones, and how many there are beside them."""
    shown = ", ".join(cut(name) for name in islice(names, SHOWN_NAMES))
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES:,} more"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that someone who wrote ``name`` most likely meant, whatever the case, or ``None``."""
    # Longer ones are no names, and take time that grows with the square of their length.
    by_folded = {candidate.casefold(): candidate for candidate in known if len(candidate) <= _LONGEST_NAME}
    folded = name.casefold() if len(name) <= _LONGEST_NAME else ""
    close = difflib.get_close_matches(folded, by_folded, n=1)
    # "LOCATION" and "LOC" differ too much for difflib, yet the one plainly stands for the other.
    close += [other for other in by_folded if len(other) > 2 and (folded.startswith(other) or other.startswith(folded))]
    return by_folded[close[0]] if close and folded else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'X'? "``, or nothing where no known name is near."""
    meant = nearest(name, known)
    return "" if meant is None else f"did you mean {meant!r}? "
