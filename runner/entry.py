"""What a command of the runner does around its work: standard streams, Ctrl-C, and the exit code.

It loads little, so that a command may do this before all else.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from zsre.relations.errors import ZsreError
from zsre.relations.interrupts import INTERRUPTED
from zsre.runner.logs import configure_logging, tell_end


def run_command(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    run: Callable[[argparse.Namespace], None],
    interrupted: str,
) -> int:
    """Parse the arguments, run, say what went wrong if something did, and return the exit code.

    ``interrupted`` is said of Ctrl-C: how things stand then.
    """
    open_standard_streams()
    try:
        args = parser.parse_args(argv)
    except SystemExit as done:
        return int(done.code or 0)
    configure_logging(parser.prog, quiet=True, form="plain")
    try:
        run(args)
    except ZsreError as error:
        tell_end(parser.prog, "plain", "error", str(error), error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        with suppress(OSError):
            print(f"{parser.prog}: {interrupted}", file=sys.stderr)
        return INTERRUPTED
    return 0


def open_standard_streams() -> None:
    """Open those of the three that the command was started without: a part file could get the number of one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
