"""What is given as a corpus: files of several kinds, patterns, folders, standard input; each becomes segments to cut.

Kinds are told by content, not by name. Only in a folder do names decide, on which of its files are looked at.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from pyarrow import fs

from zsre.relations.errors import DataError, UsageError
from zsre.runner.flags import STANDARD_INPUT
from zsre.runner.patterns import WILDCARDS, found_by, names_like
from zsre.runner.storage import file_system, open_input
from zsre.runner.store_names import is_storable, is_uri, masked, readable, uri_below, without_secrets

logger = logging.getLogger(__name__)

STANDARD_INPUT_NAME: Final = "standard input"
#: Files of a folder that are read.
SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".parquet")
COMPRESSED_SUFFIXES: Final = (".gz", ".zst")
#: How much of a file's beginning and end goes into its digest.
DIGEST_BYTES: Final = 2**16
_GIVE: Final = "give a JSONL or Parquet file, a folder of them, or - for standard input"


class Kind(StrEnum):
    """How an input is read. Only a ``plain`` file and a ``parquet`` one can be entered anywhere."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"
    PARQUET = "parquet"
    #: Standard input or a pipe, which can be read only once.
    STREAM = "stream"
    #: A folder of kept vectors.
    VECTORS = "vectors"


_MAGIC: Final = {b"\x1f\x8b": Kind.GZIP, b"\x28\xb5\x2f\xfd": Kind.ZSTD, b"PAR1": Kind.PARQUET}
#: A frame of zstd that holds no data, with which the files of pzstd begin.
_SKIPPABLE: Final = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of an input: all of a file, or what was added at its end since an earlier run.

    ``name`` opens it, and people are told the `readable` one. It goes from ``start`` to ``size``, in bytes, and begins
    with the line ``first_line``. ``digest`` tells the file from others, and from itself after a change; it is empty for
    a stream. ``id_prefix`` stands before the number of a line where that serves as an id.
    """

    name: str
    kind: Kind
    size: int | None
    digest: str
    start: int = 0
    first_line: int = 1
    id_prefix: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    """A file that is read: the name that opens it, that as it was given, and the one within a folder that was given."""

    name: str
    given: str
    within: str | None = None


def find_segments(given: Sequence[str], outputs: Sequence[str] = ()) -> tuple[Segment, ...]:
    """Return what inputs come to, in the order given, and sorted within a folder or pattern.

    What lies in one of the ``outputs`` is no input, unless it is named itself. Raises DataError for what can't be read,
    UsageError for what can't be meant.
    """
    if STANDARD_INPUT in given:
        if len(given) > 1:
            raise UsageError("-: standard input cannot be read together with other inputs; give it alone")
        return (Segment(STANDARD_INPUT_NAME, Kind.STREAM, None, ""),)
    found = [file for name in given for file in _expanded(name, outputs)]
    _check_once([file.name for file in found])
    if [file.given for file in found] == list(given) and len(given) == 1:
        return (_segment(found[0].name, ""),)
    return tuple(_segment(file.name, f"{_label(file, alone=len(given) == 1)}:") for file in found)


def _label(file: _File, alone: bool) -> str:
    """Return what a file is called in ids, where no other input was given or beside others."""
    if is_uri(file.name):
        return file.within if alone and file.within is not None else readable(file.name)
    return Path(file.within if alone and file.within is not None else file.given).as_posix()


def kind_of(head: bytes) -> Kind:
    """Return the kind of a file that begins so."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return Kind.ZSTD if _SKIPPABLE.match(head) else Kind.PLAIN


def digest(name: str, size: int) -> str:
    """Return a digest of a file's first ``size`` bytes, made of their number, their beginning and their end."""
    with open_input(name) as file:
        return _digest(file, size)


def ends_line(name: str, size: int) -> bool:
    """Tell whether the first ``size`` bytes of a file end with a line."""
    if not size:
        return True
    with open_input(name) as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def _segment(name: str, id_prefix: str) -> Segment:
    shown = readable(name)
    if not is_storable(name):
        raise DataError(f"{shown}: its name is not UTF-8, so that nothing could be written down of it; rename it")
    try:
        size = _size(name)
        if size is None:
            return Segment(name, Kind.STREAM, None, "", id_prefix=id_prefix)
        with open_input(name) as file:
            return Segment(name, kind_of(file.read(4)), size, _digest(file, size), id_prefix=id_prefix)
    except OSError as error:
        raise DataError(f"{shown}: {error.strerror or error}; check its name and permissions") from error


def _size(name: str) -> int | None:
    """Return a file's size, or ``None`` for a pipe."""
    if is_uri(name):
        system, path = file_system(name)
        (info,) = system.get_file_info([path])
        if info.size is None:
            raise DataError(f"{readable(name)}: the store tells no size of it; check its name and permissions")
        return int(info.size)
    found = Path(name).stat()
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _digest(file: BinaryIO, size: int) -> str:
    told = hashlib.sha256(str(size).encode())
    for start in (0, max(0, size - DIGEST_BYTES)):
        file.seek(start)
        told.update(file.read(min(DIGEST_BYTES, size - start)))
    return told.hexdigest()[:32]


def _expanded(given: str, outputs: Sequence[str]) -> list[_File]:
    """Return the files that one input stands for."""
    if is_uri(given):
        return _expanded_uri(given, outputs)
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if wild := WILDCARDS.search(given):
            outputs = _below(os.path.dirname(given[: wild.start()]) or ".", outputs)  # noqa: PTH120 - of half a name
            with _looking():
                files = [str(own) for own in found_by(given) if _is_file(own) and not _is_within(str(own), outputs)]
            return [_File(own, own) for own in _matched(given, _by_one_name(files))]
        raise DataError(f"{given}: {error.strerror}; {_GIVE}") from error
    if not stat.S_ISDIR(mode):
        return [_File(given, given)]
    outputs = _below(given, outputs)
    with _looking():
        names = [own.relative_to(path).as_posix() for own in _files_below(path) if not _is_within(str(own), outputs)]
    found = _by_one_name([str(path / name) for name in _wanted(given, names)])
    return [_File(own, own, os.path.relpath(own, given)) for own in found]


@contextmanager
def _looking() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}; check its permissions") from error


def _by_one_name(names: Sequence[str]) -> list[str]:
    """Return names, sorted; of a file that links give several, the one with the fewest links in it."""
    known: dict[str, list[str]] = {}
    for name in sorted(names):
        known.setdefault(os.path.realpath(name), []).append(name)
    return sorted(min(names, key=_links) if len(names) > 1 else names[0] for names in known.values())


def _links(name: str) -> int:
    path = Path(name)
    return sum(own.is_symlink() for own in (path, *path.parents))


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it; raise OSError where one cannot be looked into."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(place, name).is_symlink():
                logger.warning("%s: is a link to a folder and not followed; name it as an input", Path(place, name))
        yield from (path for name in files if _is_file(path := Path(place, name)))


def _is_file(path: Path) -> bool:
    """Tell whether a path is a file, or a link that leads nowhere: it may once have been one, and be missed."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _below(folder: str, outputs: Sequence[str]) -> list[str]:
    """Return the outputs that lie below a folder; where the input lies below the output, nothing is left out."""
    return [own for own in outputs if _is_within(own, [folder])]


def _is_within(name: str, folders: Sequence[str]) -> bool:
    """Tell whether a file lies in one of some folders, or below it."""
    if is_uri(name):
        addresses = [readable(own.partition("?")[0].rstrip("/")) for own in folders if is_uri(own)]
        return readable(name).startswith(tuple(f"{own}/" for own in addresses))
    return any(
        not is_uri(own) and Path(os.path.realpath(own)) in Path(os.path.realpath(name)).parents for own in folders
    )


def _expanded_uri(given: str, outputs: Sequence[str]) -> list[_File]:
    address, mark, options = given.partition("?")
    wild = WILDCARDS.search(address)
    root = address[: wild.start()].rpartition("/")[0] if wild else address.rstrip("/")
    folder = f"{root}{mark}{options}"
    try:
        system, path = file_system(folder)
        (info,) = system.get_file_info([path])
        if info.type == fs.FileType.File and not wild:
            return [_File(given, given)]
        selected = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    except OSError as error:
        raise DataError(f"{readable(given)}: {masked(str(error))}; {_GIVE}") from error
    names = [own.path.removeprefix(path).lstrip("/") for own in selected if own.type == fs.FileType.File]
    pattern = readable(address)[len(readable(root)) + 1 :]
    if wild and pattern in names:
        return [_File(uri_below(folder, pattern), given)]
    outputs = _below(root, outputs)
    names = [name for name in names if not _is_within(uri_below(folder, name), outputs)]
    if wild:
        chosen = _matched(given, sorted(names_like(pattern, names)))
    elif not names:
        raise DataError(f"{readable(given)}: No such file or folder; {_GIVE}")
    else:
        chosen = _wanted(given, names)
    uris = [uri_below(folder, name) for name in chosen]
    return [_File(uri, readable(uri), None if wild else name) for uri, name in zip(uris, chosen, strict=True)]


def _matched(given: str, names: list[str]) -> list[str]:
    if not names:
        raise DataError(f"{readable(given)}: no file has a name like that; {_GIVE}")
    return names


def _wanted(folder: str, names: Sequence[str]) -> list[str]:
    """Return those of a folder's files that a corpus consists of, sorted; hidden ones don't count."""
    shown = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    wanted = sorted(name for name in shown if _is_wanted(name))
    if not wanted:
        raise DataError(
            f"{readable(folder)}: holds no file that ends in {', '.join(SUFFIXES)}, or in "
            f"{' or '.join(COMPRESSED_SUFFIXES)} after that; name the files themselves"
        )
    if len(wanted) < len(shown):
        left_out = next(name for name in shown if not _is_wanted(name))
        logger.info("%s: %d other files are left out, such as %s", readable(folder), len(shown) - len(wanted), left_out)
    return wanted


def _is_wanted(name: str) -> bool:
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.endswith(SUFFIXES)


def _check_once(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        real = without_secrets(name) if is_uri(name) else os.path.realpath(name)
        if real in seen:
            raise UsageError(f"{readable(name)}: is given twice, also as {readable(seen[real])}; give each file once")
        seen[real] = name
