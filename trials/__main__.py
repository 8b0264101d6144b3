"""The command: ``python -m trials kill|ways|broken|fuzz|many|all`` or ``render``."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from measuring.machine import ROOT, commit, machine, use_processors
from trials.broken import broken
from trials.fuzz import fuzz
from trials.kill import kill
from trials.many import many
from trials.page import RECORDS, render
from trials.ways import ways
from zsre.relations.errors import ZsreError

PROGRAM: Final = "trials"
TRIALS: Final[Mapping[str, Callable[[Path], dict[str, Any]]]] = {
    "kill": kill,
    "ways": ways,
    "broken": broken,
    "fuzz": fuzz,
    "many": many,
}
logger = logging.getLogger(PROGRAM)


def main(argv: Sequence[str] | None = None, results: Path = ROOT / "results") -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", description="Try what must never lose a document.")
    parser.add_argument("trial", choices=[*TRIALS, "all", "render"])
    parser.add_argument("--keep", action="store_true", help="keep the files of the trial")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format=f"{PROGRAM}: %(message)s", stream=sys.stderr)
    # A shell starts what goes on in the background deaf to Ctrl-C, and so would be the commands that are interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if arguments.trial != "render":
            for name in TRIALS if arguments.trial == "all" else [arguments.trial]:
                record(name, results, arguments.keep)
        print(render(results))
    except ZsreError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def record(name: str, results: Path, keep: bool) -> None:
    """Carry out a trial in a folder of its own, and write down what was found."""
    folder = Path(tempfile.mkdtemp(prefix=f"zsre-{name}-"))
    logger.info("%s: in %s", name, folder)
    about = {
        "trial": name,
        "command": f"python -m {PROGRAM} {name}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(use_processors()),
    }
    found = TRIALS[name](folder)
    with (results / RECORDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**about, **found}, ensure_ascii=False) + "\n")
    if not keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
