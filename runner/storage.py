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
from urllib.parse import quote, unquote

import pyarrow as pa
from pyarrow import fs

from zsre.relations.errors import OutputError, UsageError
from zsre.runner.files import TEMPORARY_SUFFIX, replace_file

#: A scheme of one letter would be a drive of Windows.
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FILE: Final = "file://"
#: Stores whose names stand in a URI as they are, as fsspec looks for no escapes there.
_UNESCAPED: Final = ("fsspec+", "hf://")
#: What needs no escape in the path of a URI, besides letters and digits (RFC 3986, ``pchar``).
_UNRESERVED: Final = "/-._~!$&'()*+,;=:@"
#: What Arrow takes for a URI, up to its options. A store's client is the same for whatever path follows the root;
#: fsspec's are shared by fsspec itself.
_STORE: Final = re.compile(
    r"(?P<root>[a-z][a-z0-9+.-]+://[^/?#]*)(/(?P<path>([\w/.~!$&'()*+,;=:@-]|%[0-9a-f]{2})*))?",
    re.ASCII | re.IGNORECASE,
)
_ANY_NAME: Final = "_"
#: Who somebody is in a store, and a password: up to the ``@`` of the authority, or beyond a slash that should have been
#: escaped.
_USER: Final = re.compile(r"(?<=://)([^/?#]*|[^/?#@:\[]*:(?!\d*([/?#]|$))[^?#]*?)@")
#: Stores in whose names a container stands where others have a user.
_CONTAINERS: Final = ("abfs://", "abfss://")
_SECRET_OPTION: Final = re.compile(r"(?i)(?<![^&])([^&=]*(?:secret|password|token|key)[^&=]*|sig)=[^&]*")
_HIDDEN: Final = r"\1=***"
_BUFFER_BYTES: Final = 2**20


def is_uri(name: str) -> bool:
    """Tell whether a name is that of a store rather than a path of this machine."""
    return _URI.match(name) is not None


def without_scheme(name: str) -> str:
    """Return the path that a name such as ``file:///data`` stands for, and any other name as it is.

    So it is a place of this machine in all respects: with locks, and files that appear only when they are complete.
    Raises UsageError for one of another machine.
    """
    if not name.startswith(_FILE):
        return name
    path = unquote(name.removeprefix(_FILE).partition("?")[0])
    if not path.startswith("/"):
        raise UsageError(f"{name}: three slashes must stand before a path of this machine, as in {_FILE}/data")
    # A drive of Windows stands after the third slash.
    return path[1:] if os.name == "nt" and path[2:3] == ":" else path


def is_storable(name: str) -> bool:
    """Tell whether a name is UTF-8; on most systems a file's may be any bytes, which Python has its own letters for."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def uri_below(folder: str, name: str) -> str:
    """Return the URI of what lies below a store's folder, by the name that the store has for it."""
    address, mark, options = folder.partition("?")
    own = name if address.startswith(_UNESCAPED) else quote(name, safe=_UNRESERVED)
    return f"{address.rstrip('/')}/{own}{mark}{options}"


def readable(name: str) -> str:
    """Return a name as a person reads it: that of a store without user, options and escapes, any other as it is."""
    if not is_uri(name):
        return name
    if name.startswith(_UNESCAPED):
        return _without_user(name)
    return unquote(_without_user(name.partition("?")[0]))


def without_secrets(name: str) -> str:
    """Return a name as it may be written down: that of a store without user, and without the secrets of its options.

    It tells one input from another, and may not open it.
    """
    if not is_uri(name):
        return name
    if name.startswith(_UNESCAPED):
        return _without_user(name)
    address, mark, options = name.partition("?")
    return f"{_without_user(address)}{mark}{_SECRET_OPTION.sub(_HIDDEN, options)}"


def _without_user(text: str) -> str:
    def hidden(user: re.Match[str]) -> str:
        container = user[1].partition(":")[0] if text[: user.start()].endswith(_CONTAINERS) else ""
        return container and f"{container}@"

    return _USER.sub(hidden, text)


def file_system(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a URI, and the path in it; raise UsageError if there is none.

    Names with the same scheme, authority and options share one file system, as each has connections of its own.
    """
    address, mark, options = uri.partition("?")
    store = None if address.startswith((_FILE, *_UNESCAPED)) else _STORE.fullmatch(address)
    given = f"{store['root']}/{_ANY_NAME}{mark}{options}" if store else uri
    try:
        system, path = _opened(given)
        if store is None:
            return system, path
        root = path.removesuffix(_ANY_NAME)
        return system, f"{root}{unquote(store['path'] or '', errors='strict')}".rstrip("/") or root
    except (pa.ArrowException, OSError, ImportError, ValueError) as error:
        shown = readable(uri)
        reason = _without_user(str(error).splitlines()[0].replace(given, shown))
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
