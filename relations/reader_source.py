"""Open the files that labelled data comes in, plain or gzip, and say exactly where one is broken."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from zsre.relations.errors import DataError

_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands: ``where`` is ``line 3`` or the like, empty for the file as a whole."""

    file: str
    where: str = ""

    def error(self, problem: str) -> DataError:
        """Return the error that names this place; ``problem`` says what is wrong and what to do."""
        return DataError(f"{self.file}{', ' if self.where else ''}{self.where}: {problem}")


def file_stem(path: Path) -> str:
    """Return the name of a file without its endings: ``wiki80_val`` for ``wiki80_val.jsonl.gz``."""
    return path.name.split(".")[0] or path.name


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every line with its number, from 1, without its line end; raise ``DataError`` where it can't be read."""
    number = 0
    with _opened(path) as stream:
        for number, raw in enumerate(stream, start=1):
            line = _decoded(raw, path, number)
            yield number, line.rstrip("\r\n")
    if number == 0:
        raise Place(str(path)).error("the file is empty; it should hold labelled sentences")


def read_json(path: Path) -> object:
    """Return the one JSON document that a file holds."""
    with _opened(path) as stream:
        raw = stream.read()
    return parse_json(_decoded(raw, path, 1), Place(str(path)))


def parse_json(text: str, place: Place) -> object:
    """Return the value that a JSON text holds; raise ``DataError`` where it is none."""
    try:
        return cast(object, json.loads(text))
    except json.JSONDecodeError as error:
        spot = f"column {error.colno}" if place.where else f"line {error.lineno} column {error.colno}"
        raise place.error(
            f"is not JSON: {error.msg.removesuffix(' at')} at {spot}, before {text[error.pos : error.pos + 20]!r}; "
            "mend or remove it"
        ) from None
    except (ValueError, RecursionError) as error:
        raise place.error(f"is not JSON that can be read: {error}; mend or remove it") from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, through gzip if its first bytes say so; raise ``DataError`` for what fails."""
    place = Place(str(path))
    try:
        if path.is_fifo():
            raise place.error("is a pipe, and labelled data is read more than once; write it to a file first")
        with path.open("rb") as file:
            if file.peek(2)[:2] == _GZIP_MAGIC:
                with gzip.open(file) as stream:
                    yield cast(IO[bytes], stream)
            else:
                yield file
    except FileNotFoundError:
        raise place.error("there is no such file; check the path") from None
    except IsADirectoryError:
        raise place.error("is a directory; name a file in it") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise place.error(f"the gzip data is damaged or cut short ({error}); fetch the file again") from None
    except OSError as error:
        raise place.error(f"cannot be read: {error.strerror or error}") from None


def _decoded(raw: bytes, path: Path, first_line: int) -> str:
    """Decode UTF-8 bytes that begin at line ``first_line``, dropping a byte order mark at the start of the file."""
    try:
        return raw.decode("utf-8-sig" if first_line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = first_line + raw.count(b"\n", 0, error.start)
        raise Place(str(path), f"line {line}").error(
            f"is not UTF-8: byte 0x{raw[error.start]:02x}; save the file as UTF-8"
        ) from None
