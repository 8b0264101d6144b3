"""The command, ``python -m benchmarks``: making corpora, measuring, and rendering what was measured."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from benchmarks import kept_precision, precision, tries
from benchmarks.corpora import Sizes, make_corpora, read_manifest
from benchmarks.page import kept_precision_table, precision_table, render, summary, tries_table, with_unit
from benchmarks.places import Places
from benchmarks.plan import CUDA_FP16, FP32, Row
from benchmarks.records import Line, append_line, latest, make_line, read_lines
from benchmarks.rows import ROWS
from benchmarks.running import PartyError, Settings, open_runners, saves_pairs
from benchmarks.turns import Counts, take_turns
from measuring.gpu import gpu_name
from measuring.machine import ROOT, commit, machine, use_processors
from zsre.relations.contract import TOKENIZER_KEY
from zsre.relations.errors import UsageError, ZsreError
from zsre.relations.tokens import prepare_tokenizer
from zsre.runner.engine import shipped_model
from zsre.runner.session import choose_device, open_session, processors, session_metadata

PROGRAM: Final = "benchmarks"
FAILED: Final = 3
INTERRUPTED: Final = 130
#: The environment that make bench makes.
COMPETITORS: Final = ROOT / ".venv-bench" / "bin" / "python"
logger = logging.getLogger(PROGRAM)


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    command = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", description="Measure zsre beside others.")
    commands = command.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("corpus", help="make the corpora and relations files, of the data sets in ZSRE_DATA")
    commands.add_parser("list", help="list the rows, with what was measured last")
    commands.add_parser("render", help="render results/benchmarks.md from what was measured")
    turns = argparse.ArgumentParser(add_help=False)
    turns.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each (default: 5)")
    turns.add_argument("--items", type=int, metavar="N", help="read no more than N records, and record nothing: a try")
    of_precision = commands.add_parser(
        "precision", parents=[turns], help="measure what a run's precisions are worth, record and render"
    )
    precision.add_arguments(of_precision)
    commands.add_parser("kept-precision", parents=[turns], help="measure what kept vectors lose, record and render")
    commands.add_parser("tries", parents=[turns], help="measure what was tried beside what ships, record and render")
    run = commands.add_parser("run", help="measure, record and render")
    run.add_argument("--rows", metavar="A,B", help="some of the rows (default: all that need no GPU)")
    run.add_argument("--rounds", type=int, metavar="N", help="turns of each party (default: the row's, mostly 5)")
    run.add_argument("--items", type=int, metavar="N", help="read no more than N records, and record nothing: a try")
    run.add_argument("--competitors", default=str(COMPETITORS), metavar="PYTHON", help="the competitors' interpreter")
    run.add_argument("--model", type=Path, metavar="FILE", help="another model.onnx than the one that ships")
    run.add_argument(
        "--variant", metavar="NAME", help=f"what to call the model (default: {FP32}; {CUDA_FP16} for rows of a GPU)"
    )
    return command


def main(argv: Sequence[str] | None = None, places: Places | None = None) -> int:
    """Run the command and return its exit code: 3 if a row could not be measured."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format=f"{PROGRAM}: %(message)s", stream=sys.stderr)
    logger.setLevel(logging.INFO)
    places = places or Places()
    commands: dict[str, Callable[[], int]] = {
        "corpus": lambda: make(places),
        "list": lambda: show(places),
        "render": lambda: rendered(places),
        "precision": lambda: measure_precision(arguments, places),
        "kept-precision": lambda: measure_turns(arguments, places, kept_precision.measure, kept_precision_table),
        "tries": lambda: measure_turns(arguments, places, tries.measure, tries_table),
        "run": lambda: run(arguments, places),
    }
    try:
        return commands[arguments.command]()
    except ZsreError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; rows that were measured are recorded", file=sys.stderr)
        return INTERRUPTED


def make(places: Places) -> int:
    """Make the corpora, and print what they hold."""
    metadata = session_metadata(open_session(shipped_model(), choose_device("cpu")))
    tokenizer = prepare_tokenizer(Tokenizer.from_str(metadata[TOKENIZER_KEY]))
    data = Path(os.environ.get("ZSRE_DATA", "data"))
    files = make_corpora(data, places.data, lambda text: len(tokenizer.encode(text).ids), Sizes())
    for name, facts in files.items():
        print(name, json.dumps({key: value for key, value in facts.items() if key != "sha256"}))
    return 0


def show(places: Places) -> int:
    """Print each row, with its ratio and target."""
    lines = latest(read_lines(places.results))
    for row in ROWS:
        variant = row.usual_variant
        ratio, span, _, target, met, date = summary(row, variant, lines.get((row.name, variant)))
        print(f"{row.name:22}{ratio:28}{span:20}{target:10}{met:5}{date}".rstrip())
    return 0


def rendered(places: Places) -> int:
    """Render the page again, and print where it is."""
    print(render(places.results))
    return 0


def run(arguments: argparse.Namespace, places: Places) -> int:
    """Measure rows one after the other; one that can't be measured doesn't keep the others from it."""
    chosen = chosen_rows(arguments.rows)
    check_counts(arguments)
    on_gpu = chosen[0].gpu
    variant = arguments.variant or chosen[0].usual_variant
    if arguments.model and variant == FP32:
        raise UsageError("--model: give it a name with --variant, so that it is not taken for the one that ships")
    if on_gpu and not arguments.model:
        raise UsageError(f"--rows {arguments.rows}: give --model, exported with zsre-export --precision {CUDA_FP16}")
    model = arguments.model.resolve() if arguments.model else None
    settings = Settings(places.data, arguments.competitors, model=model, items=arguments.items)
    if on_gpu:
        settings = replace(settings, threads=processors())
    command = "run --rows {}" + "".join(f" --{name} {given}" for name, given in _given(arguments).items())
    more = {"variant": variant, **circumstances(command, places, on_gpu)}
    failed = []
    for row in chosen:
        try:
            line = measure(row, arguments.rounds or row.rounds, settings, more)
        except PartyError as error:
            logger.error("%s: %s", row.name, error)
            failed.append(row.name)
            continue
        if arguments.items is None:
            append_line(line, places.results)
            render(places.results)
    if failed:
        print(f"{PROGRAM}: not measured: {', '.join(failed)}", file=sys.stderr)
    return FAILED if failed else 0


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return those flags, besides the rows, that make a measurement of ``run`` what it is."""
    usual = {"rounds": None, "model": None, "variant": None, "competitors": str(COMPETITORS)}
    return {name: getattr(arguments, name) for name in usual if getattr(arguments, name) != usual[name]}


def measure_precision(arguments: argparse.Namespace, places: Places) -> int:
    """Measure the precisions of a run, each beside fp32."""
    check_counts(arguments)
    settings = Settings(places.data, sys.executable, items=arguments.items)
    asked = f" --precisions {arguments.precisions}" if arguments.precisions else ""
    command = f"precision --run {arguments.run}{asked} --rounds {arguments.rounds}"
    lines = precision.measure(arguments, settings, circumstances(command, places))
    print("\n".join(precision_table(lines)))
    record(lines, arguments, places)
    return 0


def measure_turns(
    arguments: argparse.Namespace,
    places: Places,
    measure: Callable[[int, Settings, Mapping[str, Any]], Sequence[Line]],
    table: Callable[[Sequence[Line]], Iterable[str]],
) -> int:
    """Measure what takes no more than a number of rounds, and print its table."""
    check_counts(arguments)
    settings = Settings(places.data, sys.executable, items=arguments.items)
    command = f"{arguments.command} --rounds {arguments.rounds}"
    lines = measure(arguments.rounds, settings, circumstances(command, places))
    print("\n".join(table(lines)))
    record(lines, arguments, places)
    return 0


def record(lines: Sequence[Line], arguments: argparse.Namespace, places: Places) -> None:
    """Add lines to what was measured, and render the page, unless this was a try with few records."""
    if arguments.items is None:
        for line in lines:
            append_line(line, places.results)
        render(places.results)


def circumstances(command: str, places: Places, on_gpu: bool = False) -> dict[str, Any]:
    """Return what is recorded of any measurement; from here on, two processors are used, or all beside a GPU."""
    used = machine(processors(), gpu_name()) if on_gpu else machine(use_processors())
    return {
        "command": f"python -m {PROGRAM} {command}",
        "commit": commit(),
        "machine": used,
        "corpora": {name: facts["sha256"][:12] for name, facts in read_manifest(places.data).items()},
    }


def check_counts(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a number of rounds or records that cannot be meant."""
    for name in ("rounds", "items"):
        given = getattr(arguments, name)
        if given is not None and given < 1:
            raise UsageError(f"--{name} {given}: must be at least 1")


def measure(row: Row, rounds: int, settings: Settings, more: dict[str, Any]) -> Any:
    """Measure a row, print its ratio, and return its line."""
    if row.name == "kept" and not saves_pairs(settings):
        raise PartyError("this zsre-extract has no --save-pairs")
    logger.info("%s: loading", row.name)
    with open_runners(row, settings) as runners:
        done = []
        for number, turns in enumerate(take_turns(runners, rounds), start=1):
            check_figure(row, turns)
            done.append(turns)
            seconds = ", ".join(f"{title} {counts['seconds']:.1f} s" for title, counts in turns.items())
            logger.info("%s: round %d of %d: %s", row.name, number, rounds, seconds)
        facts = {runner.title: runner.facts for runner in runners}
    check_same(row, done[-1])
    line = make_line(row, done, facts, **{**more, "command": more["command"].format(row.name)})
    ratio, span, _, target, met, _ = summary(row, more["variant"], line)
    print(f"{row.name}: {row.inside}")
    print(f"  {ratio}" + (f" ({span})" if span else "") + (f", target {target}: met: {met}" if target else ""))
    for title, party in line["parties"].items():
        print(f"  {title}: {with_unit(party['median'], line['unit'])}")
    return line


def check_figure(row: Row, turns: Mapping[str, Counts]) -> None:
    """Raise PartyError if a party has not made what the row compares."""
    for title, counts in turns.items():
        if row.figure.name not in counts:
            raise PartyError(f"{title}: {row.figure.name} could not be measured; see above")


def check_same(row: Row, turns: Mapping[str, Counts]) -> None:
    """Warn of parties that should have done the same work, and haven't."""
    if row.same:
        each = {title: counts[row.same] / counts.get("passes", 1) for title, counts in turns.items()}
        if len(set(each.values())) > 1:
            logger.warning("%s: %s differ: %s", row.name, row.same, each)


def chosen_rows(text: str | None) -> list[Row]:
    """Return the rows of a list with commas, or all that need no GPU.

    Raises UsageError for one that is not known, and for rows of which some need a GPU: those use all processors.
    """
    rows = {row.name: row for row in ROWS}
    names = [row.name for row in ROWS if not row.gpu] if text is None else text.split(",")
    for name in names:
        if name not in rows:
            raise UsageError(f"--rows {text}: there is no {name!r}; give some of {','.join(rows)}")
    if len({rows[name].gpu for name in names}) > 1:
        raise UsageError(f"--rows {text}: measure the rows of a GPU by themselves, as they use all processors")
    return [rows[name] for name in names]


if __name__ == "__main__":
    sys.exit(main())
