"""Which files a pattern of names means: on this machine, where links may lead in circles, and in a store."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import filter as matching
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

WILDCARDS: Final = re.compile(r"[*?\[]")
_ANY_FOLDERS: Final = "**"


def names_like(given: str, names: Iterable[str]) -> Iterator[str]:
    """Yield those names of a store's files that a pattern means, which is what it means to `found_by`."""
    parts = given.split("/")
    if parts[-1] == _ANY_FOLDERS:
        parts.append("*")
    return (name for name in names if _is_like(name.split("/"), parts))


def _is_like(folders_and_file: Sequence[str], parts: Sequence[str]) -> bool:
    # How much of the name the parts so far may have used up: a ``**`` leaves a choice.
    used = {0}
    for part in parts:
        if part == _ANY_FOLDERS:
            for end, own in enumerate(folders_and_file):
                if end in used and _is_shown(own, part):
                    used.add(end + 1)
        else:
            ends = (end for end in used if end < len(folders_and_file))
            used = {end + 1 for end in ends if _is_meant(folders_and_file[end], part)}
    return len(folders_and_file) in used


def _is_meant(name: str, part: str) -> bool:
    return _is_shown(name, part) and fnmatchcase(name, part)


def _is_shown(name: str, part: str) -> bool:
    """Tell whether a part of a pattern may stand for a name: one that begins with a dot must be asked for."""
    return part.startswith(".") or not name.startswith(".")


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
        shown = [own.name for own in place.iterdir() if _is_shown(own.name, part)]
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
