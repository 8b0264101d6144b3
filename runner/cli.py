"""The command ``zsre-extract``: a corpus and a file of relations in, a directory of triples out.

This module loads little, so that a flag that can't be meant is told at once and Ctrl-C is heard from the start.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NoReturn

from zsre.relations.command_line import CommandParser
from zsre.relations.errors import UsageError, ZsreError
from zsre.relations.interrupts import INTERRUPTED, interrupts_deferred
from zsre.runner.entry import open_standard_streams
from zsre.runner.flags import add_flags
from zsre.runner.lines import MAX_LINE_BYTES
from zsre.runner.logs import FORMATS, configure_logging, tell_end
from zsre.runner.records import RecordSettings

PROGRAM: Final = "zsre-extract"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see docs/extract.md for what each code means."""
    open_standard_streams()
    given = sys.argv[1:] if argv is None else argv
    parser = build_parser()
    try:
        args = parser.parse_args(given)
    except SystemExit as done:
        return int(done.code or 0)
    except UsageError as error:
        form = _form_of(given)
        if form == "plain":
            parser.print_usage(sys.stderr)
        tell_end(PROGRAM, form, "error", str(error), error.exit_code)
        return error.exit_code
    configure_logging(PROGRAM, args.quiet, args.log_format)
    try:
        with interrupts_deferred():
            from zsre.runner.command import command_for

            run = command_for(args)
        run(args)
    except ZsreError as error:
        tell_end(PROGRAM, args.log_format, "error", str(error), error.exit_code)
        return error.exit_code
    except KeyboardInterrupt as stop:
        how_far = str(stop) or "before anything was written"
        tell_end(PROGRAM, args.log_format, "interrupted", how_far, INTERRUPTED)
        return INTERRUPTED
    return 0


class _Parser(CommandParser):
    """Raises what it finds wrong, so that this can be told in either form."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(self.explained(message))


def _form_of(given: Sequence[str]) -> str:
    """Return the form of log that a command line asks for which can't be parsed."""
    asked = "--log-format=json" in given or ("--log-format", "json") in pairwise(given)
    return "json" if asked else "plain"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        prog=PROGRAM,
        description="Write the triples that a corpus states, for relations that are described in a YAML file.",
    )
    fields = RecordSettings()
    longest, chars = MAX_LINE_BYTES, fields.max_text_chars
    add = parser.add_argument
    add("corpus", nargs="+", help="JSONL (plain, gzip or zstd) or Parquet files, folders, patterns; -; kept vectors")
    add_flags(parser, "--relations")
    add("-o", "--output", metavar="DIR", help="where triples go (default: NAME.triples)")
    add("--overwrite", action="store_true", help="replace the files of an earlier run in that directory")
    add("--append", action="store_true", help="add to the earlier run there what the input has gained since")
    add_flags(parser, "--model", "--device")
    add("--threads", type=int, metavar="N", help="for the model on a CPU, or for kept vectors (default: all cores)")
    add_flags(parser, "--spacy-model")
    add("--processes", type=int, default=1, metavar="N", help="processes for spaCy (default: 1)")
    add("--text-field", default=fields.text_field, metavar="NAME", help="field with the text (default: text)")
    add("--id-field", metavar="NAME", help="field with the id (default: id, or else the line number)")
    add("--keep", default="", metavar="A,B", help="fields to pass through as columns")
    add_flags(parser, "--threshold", "--max-relations", "--max-mentions")
    add("--engine", choices=("local", "ray"), default="local", help="ray: many processes or machines (default: local)")
    add("--ray-address", metavar="ADDRESS", help="the cluster's, or auto (default: start Ray on this machine)")
    add("--ray-workers", type=int, metavar="N", help="processes that share the shards (default: as many as fit)")
    add("--save-pairs", type=Path, metavar="DIR", help="keep the vectors there, to extract from with other relations")
    add("--save-precision", choices=("float16", "int8"), default="float16", help="how they are kept (default: float16)")
    add("--save-fitting", action="store_true", help="keep only pairs whose types today's relations allow")
    add("--max-line-bytes", type=int, default=longest, metavar="N", help="reject longer lines (default: %(default)s)")
    add("--max-text-chars", type=int, default=chars, metavar="N", help="reject longer texts (default: %(default)s)")
    add("--on-error", choices=("skip", "fail"), default="skip", help="what a bad line does (default: skip)")
    add("--max-reject-rate", type=float, default=1.0, metavar="R", help="fail if more is rejected, 0 to 1 (default: 1)")
    add("--shard-lines", type=int, default=5000, metavar="N", help="lines for one part file (default: 5000)")
    add("--limit", type=int, metavar="N", help="stop after N records")
    add("--show", type=int, metavar="N", help="show the first N triples (default: 10 on a terminal, else none)")
    add("--dry-run", action="store_true", help="estimate what a run comes to from a sample, and write nothing")
    add("--log-format", choices=FORMATS, default="plain", help="json: one object a line on standard error")
    add("--quiet", action="store_true", help="no progress and no summary")
    add("--version", action="version", version=f"zsre {importlib.metadata.version('zsre')}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
