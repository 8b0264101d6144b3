"""A disk that is full, a folder that may not be written to, files that were cut short."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trials.corpora import sentences
from trials.runs import Outcome, TrialError, command, outcome, run

#: Room for half of the parts.
_SMALL = "400k"


def broken(folder: Path, documents: int = 2_000) -> dict[str, Any]:
    """Break things, see what is said, mend them, go on, and compare. Needs the right to mount."""
    corpus = sentences(folder, documents)
    run(command(corpus, folder / "whole"))
    expected = outcome(folder / "whole")
    found = [
        _mended("a full disk", folder, corpus, expected, f"size={_SMALL}", "size=100m"),
        _mended("a read-only directory", folder, corpus, expected, "ro,size=100m", "rw"),
    ]
    damages: dict[str, Callable[[Path], None]] = {
        "a part cut short": lambda output: _cut(output / "part-00003.parquet"),
        "a part missing": lambda output: (output / "part-00003.parquet").unlink(),
        "a part's record cut short": lambda output: _cut(output / "shards/00003.json"),
        "run.json cut short": lambda output: _cut(output / "run.json"),
        "a temporary file left over": lambda output: _cut(output / "part-00003.parquet", ".part-00004.parquet.tmp"),
    }
    for what, damage in damages.items():
        output = folder / what.replace(" ", "-").replace("'", "")
        run(command(corpus, output))
        _unfinished(output)
        damage(output)
        run(command(corpus, output))
        found.append({"what": what, "exit_code": 0, "identical": outcome(output) == expected})
    output = folder / "run-json"
    run(command(corpus, output))
    for name in ("run.json", "shards/begun.json"):
        _cut(output / name)
    said = run(command(corpus, output), expected=4)
    kept = sorted(path.name for path in output.glob("part-*")) == sorted(
        path.name for path in (folder / "whole").glob("part-*")
    )
    run(command(corpus, output, "--overwrite"))
    again = outcome(output) == expected
    what = "run.json and shards/begun.json cut short"
    found.append({"what": what, "exit_code": 4, "said": _told(said, folder), "identical": kept and again})
    return {"documents": documents, "rows": expected.rows, "damages": found}


def _mended(what: str, folder: Path, corpus: Path, expected: Outcome, options: str, mended: str) -> dict[str, Any]:
    """Run into a file system of those options, which are mended once the run has failed."""
    place = folder / what.replace(" ", "-")
    with _mounted(place, options):
        said = run(command(corpus, place / "out"), expected=4)
        _mount("-o", f"remount,{mended}", str(place))
        run(command(corpus, place / "out"))
        return {
            "what": what,
            "exit_code": 4,
            "said": _told(said, place),
            "identical": outcome(place / "out") == expected,
        }


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir()
    _mount("-t", "tmpfs", "-o", options, "tmpfs", str(place))
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrialError(f"mount {' '.join(arguments)}: {done.stderr.strip()}; this trial needs the right to mount")


def _told(said: str, folder: Path) -> str:
    """Return the error that was told, without where the trial happened to be."""
    return said.splitlines()[-1].removeprefix("zsre-extract: error: ").replace(f"{folder}/", "")


def _unfinished(output: Path) -> None:
    """Make a finished run look like one that was killed before it could say so."""
    path = output / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "status": "running"}), encoding="utf-8")


def _cut(path: Path, name: str | None = None) -> None:
    """Cut a file to half of its bytes, in place or as another."""
    content = path.read_bytes()
    path.with_name(name or path.name).write_bytes(content[: len(content) // 2])
