"""The log of ``zsre-eval``: what every line says of a measurement, and how a line is added."""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from zsre.relations.errors import OutputError

SOURCE: Final = Path(__file__).resolve().parent


def log_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what is logged of every measurement: when, and on what."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "zsre": version("zsre"),
        "commit": current_commit(),
        "data": (arguments.calibrate or arguments.data).name,
        "texts": Path(arguments.relations).name,
        "split": arguments.split.stem if arguments.split else None,
        "part": arguments.part,
        "per_relation": arguments.per_relation,
        "seed": arguments.seed if arguments.per_relation or arguments.calibrate else None,
        "threads": arguments.threads,
    }


def append(log: Path, text: str) -> None:
    """Add text to the log; raise OutputError if that fails."""
    try:
        with log.open("a", encoding="utf-8") as file:
            # A last line that was cut short, as by a full disk, must not take this one with it.
            file.write("\n" + text if text and ends_amid_a_line(log) else text)
    except OSError as error:
        raise OutputError(f"--log {log}: cannot be written: {error.strerror or error}") from error


def ends_amid_a_line(path: Path) -> bool:
    """Tell whether a file's last line has no end."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def current_commit() -> str | None:
    """Return the commit of the checkout that this runs from, with ``+`` if it has changes, or None if it's none.

    What was measured before is no change: logs and pages of results are in the checkout themselves.
    """
    try:
        if _git("rev-parse", "--show-prefix") != f"{SOURCE.name}/":
            return None
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "-uno", "--", ":/", ":(top,exclude)results") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    # Never in the working directory: git runs programs that a repository's settings name, and data may come as one.
    done = subprocess.run(["git", *arguments], cwd=SOURCE, capture_output=True, text=True, check=True)
    return done.stdout.strip()
