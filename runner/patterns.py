"""Which files a pattern of names means: on this machine, where links may lead in circles, and in a store."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import filter as matching
from pathlib import Path
from typing import Final

WILDCARDS: Final = re.compile(r"[*?\[]")
_ANY_FOLDERS: Final = "**"


def store_pattern(given: str) -> re.Pattern[str]:
    """Return what a pattern of names in a store means, where ``*`` stays within a folder and ``**`` doesn't."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", given)
    meant = (parts.get(token) or (token if len(token) > 1 else re.escape(token)) for token in tokens)
    return re.compile("".join(meant))


def found_by(given: str) -> Iterator[Path]:
    """Yield what of this machine has a name like that; a wildcard stands for no dot at the beginning of a name.

    Unlike `glob`, it enters each folder once for a ``**``, however many links lead there, and raises OSError for a
    folder that can't be looked into.
    """
    path = Path(given)
    anchor = path.anchor
    yield from _found(Path(anchor), path.parts[1:] if anchor else path.parts)


def _found(place: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    if not parts:
        yield place
        return
    part, rest = parts[0], parts[1:]
    if part == _ANY_FOLDERS:
        for folder in _folders(place):
            yield from _found(folder, rest or ("*",))
        return
    if WILDCARDS.search(part):
        shown = [own.name for own in place.iterdir() if part.startswith(".") or not own.name.startswith(".")]
        names = sorted(matching(shown, part))
    else:
        names = [part]
    for name in names:
        if _is_folder(place / name) if rest else os.path.lexists(place / name):
            yield from _found(place / name, rest)


def _folders(root: Path) -> Iterator[Path]:
    """Yield a folder and those below it, each once; where links lead comes after what can be reached without them."""

    def refuse(error: OSError) -> None:
        raise error

    entered: set[str] = set()
    starts = [root]
    while starts:
        links: list[Path] = []
        for start in starts:
            for place, folders, _ in os.walk(start, onerror=refuse):
                real = os.path.realpath(place)
                if real in entered:
                    folders.clear()
                    continue
                entered.add(real)
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                links += [path for name in folders if (path := Path(place, name)).is_symlink()]
                yield Path(place)
        starts = links


def _is_folder(path: Path) -> bool:
    """Tell whether that is a folder; raise OSError where permissions keep that from being seen."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except PermissionError:
        raise
    except OSError:
        return False
