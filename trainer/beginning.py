"""How a run begins in its directory, who holds that, and the digests of what the run is made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from zsre.relations.errors import ModelError, OutputError
from zsre.relations.lock import LOCK_FILE, FolderLock
from zsre.relations.places import looked_at
from zsre.trainer.checkpoint import CONFIG, is_started, read_text, write_text
from zsre.trainer.config import TrainConfig

#: The digest of the data and texts that a run is trained on.
READING = "data.sha256"
#: The digest of the data and texts that it is calibrated on.
CALIBRATION_READING = "calibration.sha256"


def make_directory(directory: Path) -> None:
    """Make an empty directory for a run; raise OutputError if it cannot be made or holds something already."""
    # What a process that was killed before it began leaves.
    nothing = {LOCK_FILE, f"{CONFIG}.tmp"}
    with looked_at(directory, OutputError):
        full = directory.is_dir() and any(entry.name not in nothing for entry in directory.iterdir())
    if full:
        remedy = (
            f"go on with it by --resume {directory}, or give another -o" if is_started(directory) else "give another -o"
        )
        raise OutputError(f"{directory}: not empty; {remedy}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: cannot be made a folder: {error.strerror}; give another -o") from error


@contextmanager
def held(directory: Path, new: bool = False) -> Iterator[None]:
    """Hold a run directory against other processes; a new one is made first, and goes again if no run begins in it.

    Raises HeldError, an OutputError, if another process trains there.
    """
    with looked_at(directory, OutputError):
        missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        if new:
            make_directory(directory)
        lock = FolderLock(directory)
        try:
            yield
        finally:
            if new and not is_started(directory):
                lock.discard()
            lock.close()
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def start_run(directory: Path, config: TrainConfig, reading: str | None = None, calibration: str | None = None) -> None:
    """Make a fresh run directory; raise OutputError if something is there already.

    ``reading`` is the digest of the data and texts that the run is to read, ``calibration`` that of what it is to be
    calibrated on; if not given, these may be any.
    """
    make_directory(directory)
    write_text(directory / CONFIG, yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True))
    for name, digest in ((READING, reading), (CALIBRATION_READING, calibration)):
        if digest is not None:
            write_reading(directory, digest, name)


def write_reading(directory: Path, reading: str, name: str = READING) -> None:
    """Write the digest of what a run reads."""
    write_text(directory / name, reading + "\n")


def read_reading(directory: Path, name: str = READING) -> str | None:
    """Read the digest of what a run read; return None for a run that does not say, as of earlier versions."""
    text = read_text(directory / name)
    return None if text is None else text.strip()


def check_reading(directory: Path, reading: str) -> None:
    """Raise ModelError for a run that read, or is to read, other data or texts."""
    if read_reading(directory) not in (None, reading):
        raise ModelError(
            f"{directory}: its data or relation texts are not those that it, or the run whose fold it is, began with; "
            "put these back, or train anew"
        )


def check_calibration_reading(directory: Path, reading: str) -> None:
    """Raise ModelError for a run that is to be calibrated on other data, or with other texts, than it began with."""
    if read_reading(directory, CALIBRATION_READING) not in (None, reading):
        raise ModelError(
            f"{directory}: its calibration data or relation texts are not those that it began with; put these back, or "
            f"remove {directory / CALIBRATION_READING} to calibrate it on what is there now"
        )
