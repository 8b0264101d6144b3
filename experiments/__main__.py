"""The command: ``python -m experiments --profile cpu``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from experiments.names import chosen
from experiments.page import FOLDER, render
from experiments.plan import DATASETS, GROUPS, PROFILES, Cell, plan
from experiments.run import Places, missing_cells, run_cells
from experiments.usage import execute
from zsre.relations.errors import ZsreError

PROGRAM: Final = "experiments"
FAILED: Final = 3
INTERRUPTED: Final = 130
#: Failed cells that the last line names; each was told when it failed.
SHOWN: Final = 8


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Train and measure the cells of the paper's tables and figures that are missing, and render them.",
    )
    add = command.add_argument
    add("--profile", choices=tuple(PROFILES), default="cpu", help="the scale to run at (default: cpu)")
    add("--only", metavar="GROUPS", help=f"some of {','.join(GROUPS)} (default: all)")
    add("--datasets", metavar="NAMES", help=f"some of {','.join(DATASETS)} (default: both)")
    add("--keep-runs", action="store_true", help="keep the weights of measured runs")
    instead = command.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="only list the cells, and which are measured")
    instead.add_argument("--render", action="store_true", help="only render what is recorded")
    instead.add_argument("--tsne", type=Path, metavar="RUN", help="only draw Fig. 8 of a run whose weights were kept")
    return command


def main(argv: Sequence[str] | None = None, places: Places | None = None) -> int:
    """Run the command and return its exit code: 3 if a cell failed."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format=f"{PROGRAM}: %(message)s", stream=sys.stderr)
    logging.getLogger("experiments").setLevel(logging.INFO)
    places = places or Places()
    try:
        return act(arguments, places)
    except ZsreError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # A reader such as head has seen enough. Python flushes once more on its way out, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def act(arguments: argparse.Namespace, places: Places) -> int:
    """Do what was asked for."""
    if arguments.tsne:
        from experiments.tsne import draw_tsne

        print(draw_tsne(arguments.tsne, places.results / FOLDER))
        return 0
    failed: list[Cell] = []
    if not arguments.render:
        groups = chosen("--only", arguments.only, GROUPS)
        cells = plan(arguments.profile, groups, chosen("--datasets", arguments.datasets, DATASETS))
        if arguments.list:
            show(cells, places)
            return 0
        failed = run_cells(cells, places, execute, arguments.keep_runs)
    print(render(places.results))
    if failed:
        names = ", ".join([cell.name for cell in failed[:SHOWN]] + ["…"] * (len(failed) > SHOWN))
        print(f"{PROGRAM}: {len(failed)} cells failed: {names}", file=sys.stderr)
    return FAILED if failed else 0


def show(cells: Sequence[Cell], places: Places) -> None:
    """Print each cell with where it stands, and how many are missing."""
    missing = frozenset(missing_cells(cells, places))
    for cell in cells:
        print(f"{'missing ' if cell in missing else 'measured'}  {cell.name}")
    print(f"{len(cells)} cells, {len(cells) - len(missing)} of them measured", flush=True)


if __name__ == "__main__":
    sys.exit(main())
