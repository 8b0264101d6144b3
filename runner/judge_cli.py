"""The command ``zsre-judge``: triples of a finished run are shown to a person, and the answers become labelled data.

Like ``zsre-extract``, it loads little until the arguments are known to be right.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Final

from zsre.relations.command_line import CommandParser
from zsre.relations.interrupts import interrupts_deferred
from zsre.relations.terminal import printable_lines
from zsre.runner.entry import run_command
from zsre.runner.flags import check_least

PROGRAM: Final = "zsre-judge"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see docs/eval.md for what each code means."""
    seen = sys.stdout is not None
    return run_command(build_parser(), argv, lambda args: run(args, seen), "interrupted; every answer is saved")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = CommandParser(
        prog=PROGRAM,
        description="Ask which triples of a finished run are right, and save the answers for zsre-eval --calibrate.",
    )
    add = parser.add_argument
    add("triples", metavar="TRIPLES", help="the folder that zsre-extract wrote, or its place in a store")
    add("-o", "--output", required=True, metavar="FILE", help="labelled data to add to, made if it isn't there")
    add("--count", type=int, default=100, metavar="N", help="triples to draw (default: %(default)s)")
    add("--relations", metavar="FILE", help="show what this relations file, or wikidata, describes each relation as")
    add(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="draw triples of this relation alone, by name or id; may be given again",
    )
    add("--seed", type=int, default=13, metavar="N", help="seed of the draw (default: %(default)s)")
    add("--version", action="version", version=f"zsre {importlib.metadata.version('zsre')}")
    return parser


def run(args: argparse.Namespace, seen: bool) -> None:
    """Draw, ask, and say what the answers came to; raise ZsreError for whatever a person can mend.

    Without ``seen``, there is no standard output, so that nobody sees what would be asked.
    """
    check_least(args, count=1, seed=0)
    with interrupts_deferred():
        from rich.console import Console

        from zsre.relations.catalogue import load_relations
        from zsre.relations.terminal import write_out
        from zsre.runner.draw import draw, open_finished
        from zsre.runner.judge import Draw, ask, described
        from zsre.runner.judge_report import summary
        from zsre.runner.judged import open_judged
    relations = load_relations(args.relations) if args.relations else None
    found = open_finished(args.triples)
    judged = open_judged(args.output, found.output.folder)
    with Console(stderr=True).status("drawing"):
        drawn = draw(found, args.count, args.seed, args.only)
    descriptions = {} if relations is None else described(relations, drawn, found.facts)
    questions = Draw(drawn, judged)
    try:
        if seen:
            ask(questions, Console(), descriptions)
    finally:
        lines = "\n".join(summary(questions, found.facts, args.relations))
        write_out(f"\n{printable_lines(lines)}\n")


if __name__ == "__main__":
    sys.exit(main())
