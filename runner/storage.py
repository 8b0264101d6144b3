"""Where files lie: on this machine, or in a store that Arrow has a file system for, named as in ``s3://bucket/key``."""

from __future__ import annotations

import errno
import io
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, cast
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from zsre.relations.errors import OutputError, UsageError
from zsre.runner.files import TEMPORARY_SUFFIX, replace_file
from zsre.runner.store_names import FILE_SCHEME, UNESCAPED, is_uri, masked, readable, uri_below

#: What Arrow takes for a URI, up to its options. A store's client is the same for whatever path follows the root;
#: fsspec's are shared by fsspec itself.
_STORE: Final = re.compile(
    r"(?P<root>[a-z][a-z0-9+.-]+://[^/?#]*)(/(?P<path>([\w/.~!$&'()*+,;=:@-]|%[0-9a-f]{2})*))?",
    re.ASCII | re.IGNORECASE,
)
_ANY_NAME: Final = "_"
_BUFFER_BYTES: Final = 2**20


def file_system(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a URI, and the path in it; raise UsageError if there is none.

    Names with the same scheme, authority and options share one file system, as each has connections of its own.
    """
    address, mark, options = uri.partition("?")
    store = None if address.startswith((FILE_SCHEME, *UNESCAPED)) else _STORE.fullmatch(address)
    given = f"{store['root']}/{_ANY_NAME}{mark}{options}" if store else uri
    try:
        system, path = _opened(given)
        if store is None:
            return system, path
        root = path.removesuffix(_ANY_NAME)
        return system, f"{root}{unquote(store['path'] or '', errors='strict')}".rstrip("/") or root
    except (pa.ArrowException, OSError, ImportError, ValueError) as error:
        shown = readable(uri)
        reason = masked(str(error).splitlines()[0].replace(given, shown))
        raise UsageError(f"{shown}: cannot be opened: {reason}") from error


@lru_cache(maxsize=1024)
def _opened(uri: str) -> tuple[fs.FileSystem, str]:
    """Return what Arrow opens; of a store, it is a client each time, and of other places it costs next to nothing."""
    system, path = fs.FileSystem.from_uri(uri)
    return system, path


def open_input(name: str) -> BinaryIO:
    """Open a file to read, from anywhere in it; raise OSError if that can't be done."""
    if not is_uri(name):
        return Path(name).open("rb")
    return _open_buffered(*file_system(name))


def _open_buffered(system: fs.FileSystem, path: str) -> BinaryIO:
    # Arrow's files read blocks; lines are what Python adds.
    return io.BufferedReader(cast(io.RawIOBase, system.open_input_file(path)), _BUFFER_BYTES)


class Folder(ABC):
    """A folder to write to, whose files appear under their names only when they are complete.

    ``name`` opens it; as a string, it is what people are told.

    All methods raise OSError for what the storage can't do.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return readable(self.name)

    @abstractmethod
    def within(self, name: str) -> str:
        """Return what a file of the folder is called, for people."""

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether anything has that name."""

    @abstractmethod
    def is_folder(self) -> bool:
        """Tell whether it is there, and a folder."""

    @abstractmethod
    def make(self) -> None:
        """Make the folder, and those it is in."""

    @abstractmethod
    def files(self, under: str = "") -> dict[str, int]:
        """Return the names of the files in it, or in a folder of it, each with its size."""

    @abstractmethod
    def write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        """Write a file and put it in its place."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open a file to read; raise FileNotFoundError if it is missing, and only then."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, which may be missing."""

    def read(self, name: str) -> bytes:
        """Return what a file holds."""
        with self.open(name) as file:
            return file.read()

    def is_empty(self, ignoring: Collection[str] = ()) -> bool:
        """Tell whether nothing is in it, but for some names."""
        return all(name in ignoring for name in self.files())


class LocalFolder(Folder):
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def within(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.path / name)

    def exists(self) -> bool:
        """Tell whether anything has that name."""
        return self.path.exists()

    def is_folder(self) -> bool:
        """Tell whether it is there, and a folder."""
        return self.path.is_dir()

    def is_empty(self, ignoring: Collection[str] = ()) -> bool:
        """Tell whether neither files nor folders are in it, but for some names."""
        return all(entry.name in ignoring for entry in self.path.iterdir())

    def make(self) -> None:
        """Make the folder, and those it is in."""
        self.path.mkdir(parents=True, exist_ok=True)

    def files(self, under: str = "") -> dict[str, int]:
        """Return the names of the files in it, or in a folder of it, each with its size."""
        try:
            with os.scandir(self.path / under) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        except FileNotFoundError:
            return {}

    def write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        """Write a file beside its place, flush it to the disk, and rename it."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        replace_file(path, write)

    def open(self, name: str) -> BinaryIO:
        """Open a file to read."""
        return (self.path / name).open("rb")

    def remove(self, name: str) -> None:
        """Remove a file, which may be missing."""
        (self.path / name).unlink(missing_ok=True)

    def leftovers(self, under: str = "") -> Iterator[Path]:
        """Yield the temporary files that a run which was killed left behind."""
        return (self.path / under).glob(f".*{TEMPORARY_SUFFIX}")


class RemoteFolder(Folder):
    """A folder of a store. What is written there appears when it is complete, or is removed again.

    Where the store is out of reach by then, half of a file may stay. So a file is known to be whole only by one that
    was written after it: a part by its record, ``rejects.jsonl`` by the status in ``run.json``.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._system, path = file_system(uri)
        self._path = path.rstrip("/")

    def within(self, name: str) -> str:
        """Return the name of a file as a person reads it."""
        return readable(uri_below(self.name, name))

    def exists(self) -> bool:
        """Tell whether anything has that name."""
        return bool(self._type(self._path) != fs.FileType.NotFound)

    def is_folder(self) -> bool:
        """Tell whether it is there, and a folder."""
        return bool(self._type(self._path) == fs.FileType.Directory)

    def make(self) -> None:
        """Make the folder where the store has such a thing."""
        self._system.create_dir(self._path, recursive=True)

    def files(self, under: str = "") -> dict[str, int]:
        """Return the names of the files in it, or in a folder of it, each with its size."""
        where = f"{self._path}/{under}".rstrip("/")
        found = self._system.get_file_info(fs.FileSelector(where, allow_not_found=True))
        return {info.base_name: info.size for info in found if info.type == fs.FileType.File}

    def write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        """Write a file, as it comes, or remove what came of it."""
        path = f"{self._path}/{name}"
        if "/" in name:
            self._system.create_dir(path.rpartition("/")[0], recursive=True)
        try:
            with self._system.open_output_stream(path) as stream:
                write(cast(BinaryIO, stream))
        except BaseException:
            # Arrow has no way to give up on a file: one that isn't finished is put in its place as it is.
            with suppress(OSError):
                self.remove(name)
            raise

    def open(self, name: str) -> BinaryIO:
        """Open a file to read; raise FileNotFoundError if it is missing, and only then."""
        path = f"{self._path}/{name}"
        try:
            return _open_buffered(self._system, path)
        except OSError as error:
            # Some stores say of a file which is missing what they say of any failure, and others the reverse.
            if self._type(path) == fs.FileType.NotFound:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.within(name)) from error
            if isinstance(error, FileNotFoundError):
                raise OSError(errno.EIO, "it is there, and could not be opened", self.within(name)) from error
            raise

    def remove(self, name: str) -> None:
        """Remove a file, which may be missing."""
        path = f"{self._path}/{name}"
        if self._type(path) != fs.FileType.NotFound:
            self._system.delete_file(path)

    def _type(self, path: str) -> fs.FileType:
        (info,) = self._system.get_file_info([path])
        return info.type


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raise OutputError for what can't be read although it is there; a missing file stays a FileNotFoundError.

    A store that is out of reach must not be taken for one that holds nothing, as what isn't done is removed.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OutputError(
            f"{name}: cannot be read: {error.strerror or error}; nothing was removed: mend that, then the same command "
            "goes on"
        ) from error


def open_folder(name: str) -> Folder:
    """Return the folder of that name, which need not be there."""
    return RemoteFolder(name) if is_uri(name) else LocalFolder(Path(name))
