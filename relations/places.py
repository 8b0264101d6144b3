"""Paths that people name, which may lead where nobody may look, or nowhere but in a circle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zsre.relations.errors import ZsreError


@contextmanager
def looked_at(path: Path, kind: type[ZsreError]) -> Iterator[None]:
    """Raise an error of this kind where the system refuses the body to look at a path."""
    try:
        yield
    except OSError as error:
        raise kind(f"{path}: cannot be read: {error.strerror or error}; check the path and its permissions") from error


def real_path(path: Path) -> Path:
    """Return where links lead, as `Path.resolve` does, which raises RuntimeError where they lead in a circle."""
    return Path(os.path.realpath(path))


def is_same(one: Path, other: Path) -> bool:
    """Tell whether two names are of one file, or would be if it were there."""
    try:
        return one.samefile(other)
    except OSError:
        return real_path(one) == real_path(other)
