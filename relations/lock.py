"""One run at a time in a folder: a lock that ends with the process that holds it, however that goes."""

from __future__ import annotations

import errno
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from zsre.relations.errors import OutputError

logger = logging.getLogger(__name__)
LOCK_FILE: Final = ".lock"
#: What a system says of a file that another process has locked; of a place without locks it says something else.
_HELD: Final = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _open(path: Path) -> int:
    # Not through a link: the folder may be one that others write to.
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


class HeldError(OutputError):
    """Another process holds the folder."""


class FolderLock:
    """Holds a folder of this machine until it is closed."""

    def __init__(self, folder: Path) -> None:
        """Lock a folder that is there; raise HeldError if another run has it, OutputError if it can't be written to.

        Where the file system has no locks, as some that are mounted from elsewhere, that is said, and all there is.
        """
        self._path = folder / LOCK_FILE
        try:
            # The file stays when the lock ends: removed, it could be one that another run has just locked.
            self._file = os.fdopen(_open(self._path), "a+b")
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written to: {error.strerror}; give another directory with -o"
            ) from error
        try:
            _lock(self._file)
        except OSError as error:
            if error.errno in _HELD:
                self._file.close()
                raise self._held() from error
            logger.warning("%s: has no locks (%s), so start no other run into it meanwhile", folder, error.strerror)
        else:
            if not self._is_in_place():
                # Whoever had it before has just discarded it, and the next may have another one in its place.
                self._file.close()
                raise self._held()

    def close(self) -> None:
        """Let go of the folder."""
        self._file.close()

    def discard(self) -> None:
        """Let go of the folder, and leave no file in it, as nothing came of the run."""
        # Windows removes no file that is open; elsewhere, once it is closed it could be another run's.
        if sys.platform == "win32":
            self.close()
        with suppress(OSError):
            self._path.unlink()
        self.close()

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _held(self) -> HeldError:
        return HeldError(
            f"{self._path.parent}: another run is writing to it; wait for it, or give another directory with -o"
        )


def is_locked(folder: Path) -> bool:
    """Tell whether a run is writing to a folder at this moment, as far as its file system has locks."""
    path = folder / LOCK_FILE
    if not os.access(path, os.W_OK):
        return False
    try:
        with os.fdopen(_open(path), "a+b") as file:
            _lock(file)
    except OSError as error:
        return error.errno in _HELD
    return False
