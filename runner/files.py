"""Files that appear under their names only when they are complete and on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from zsre.relations.private_files import make_private, publish

TEMPORARY_SUFFIX: Final = ".tmp"


def temporary_path(path: Path) -> Path:
    """Return the name that a file goes by until it is complete."""
    return path.with_name(temporary_name(path.name))


def temporary_name(name: str) -> str:
    """Return what a file of that name is called until it is complete; one may be left of a run that was killed."""
    return f".{name}{TEMPORARY_SUFFIX}"


def replace_file(path: Path, write: Callable[[BinaryIO], object], mode: int | None = None) -> None:
    """Write a file beside its place, and put it there once it is on the disk; raise OSError if that can't be done.

    It gets the permissions ``mode``, or those that any new file has.
    """
    temporary = temporary_path(path)
    try:
        with make_private(temporary).open("wb") as file:
            write(file)
        put_in_place(path, mode)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def put_in_place(path: Path, mode: int | None = None) -> None:
    """Flush a file that was written under its temporary name to the disk, and rename it."""
    temporary = temporary_path(path)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    publish(temporary, path, mode)
    flush_directory(path.parent)


def write_all(file: BinaryIO, content: bytes) -> None:
    """Write everything, also where a single write may stop short, as an unbuffered one does on a full disk."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def flush_directory(path: Path) -> None:
    """Make a rename last through a power cut, where the system allows it."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
