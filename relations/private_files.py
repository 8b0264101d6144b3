"""Files that nobody else reads or swaps while they are being written.

What is on its way to its place has a name that can be foreseen, often in a folder that others share. So it is always a
new file, never one, or a link to one, that was put there before, and until it is in its place only its owner reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


def make_private(path: Path) -> Path:
    """Make an empty file that its owner alone may read and write, in place of what has that name; return its name.

    Raises OSError if that can't be done.
    """
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def publish(temporary: Path, path: Path, mode: int | None = None) -> None:
    """Put a file that `make_private` made in its place, with these permissions, or those that any new file has."""
    # Not every file system has permissions.
    with suppress(OSError):
        temporary.chmod(_usual_mode() if mode is None else mode)
    temporary.replace(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new file to write to, which takes the place of ``path`` once that is done, and is removed if it isn't.

    Raises OSError if that can't be done.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield make_private(temporary)
        publish(temporary, path)
    except BaseException:
        # What was written of it takes the room that is missing. Where it can't be removed, the first error says more.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@cache
def _usual_mode() -> int:
    # The mask can only be read by setting it; for that moment it is the strictest.
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
