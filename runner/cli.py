"""The command ``zsre-extract``: a corpus and a file of relations in, a directory of triples out."""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console

from zsre.relations.catalogue import CATALOGUE, load_relations
from zsre.relations.errors import NothingExtractedError, UsageError, ZsreError
from zsre.relations.relation import understood_types
from zsre.relations.relations_file import check_types
from zsre.runner.corpus import Corpus, CutSettings, open_corpus
from zsre.runner.counts import Counts
from zsre.runner.decide import make_rules
from zsre.runner.engine import load_engine
from zsre.runner.entities import load_annotator
from zsre.runner.extract import Job, extract
from zsre.runner.output import REJECTS_FILE, OutputDirectory, check_output, default_output, open_output
from zsre.runner.records import RecordSettings
from zsre.runner.report import (
    RunProgress,
    RunSummary,
    first_triples,
    reject_reasons,
    summary_lines,
    triples_table,
)
from zsre.runner.triples import check_kept

PROGRAM: Final = "zsre-extract"
INTERRUPTED: Final = 130
_SHOWN_ON_A_TERMINAL: Final = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; see docs/extract.md for what each code means."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as done:
        return int(done.code or 0)
    _configure_logging(args.quiet)
    try:
        run(args)
    except ZsreError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(f"{PROGRAM}: interrupted {str(stop) or 'before anything was written'}", file=sys.stderr)
        return INTERRUPTED
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Write the triples that a corpus states, for relations that are described in a YAML file.",
    )
    cut, fields = CutSettings(), RecordSettings()
    add = parser.add_argument
    add("corpus", help="JSONL file, plain or gzip, one document a line; - for standard input")
    add("--relations", metavar="FILE", help="relations file, or wikidata, or wikidata:P112,P26")
    add("-o", "--output", type=Path, metavar="DIR", help="where triples go (default: NAME.triples)")
    add("--overwrite", action="store_true", help="replace the files of an earlier run in that directory")
    add("--model", type=Path, metavar="FILE", help="model.onnx to use (default: the one that ships)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="what to run the model on (default: auto)")
    add("--threads", type=int, metavar="N", help="threads for the model on a CPU (default: all cores)")
    add("--spacy-model", metavar="NAME", help="spaCy pipeline for sentences and entities (default: en_core_web_sm)")
    add("--processes", type=int, default=1, metavar="N", help="processes for spaCy (default: 1)")
    add("--text-field", default=fields.text_field, metavar="NAME", help="field with the text (default: text)")
    add("--id-field", metavar="NAME", help="field with the id (default: id, or else the line number)")
    add("--keep", default="", metavar="A,B", help="fields to pass through as columns")
    add("--threshold", type=float, metavar="P", help="least score of a triple, 0 to 1 (default: the model's)")
    add("--max-relations", type=int, default=3, metavar="N", help="most relations for a pair (default: 3)")
    add(
        "--max-mentions", type=int, default=40, metavar="N", help="mentions in a sentence before far pairs are left out"
    )
    add("--max-line-bytes", type=int, default=cut.max_line_bytes, metavar="N", help="longer lines are rejected")
    add("--max-text-chars", type=int, default=fields.max_text_chars, metavar="N", help="longer texts are rejected")
    add("--shard-lines", type=int, default=cut.shard_lines, metavar="N", help="lines for one part file (default: 5000)")
    add("--limit", type=int, metavar="N", help="stop after N records")
    add("--show", type=int, metavar="N", help="show the first N triples (default: 10 on a terminal, else none)")
    add("--quiet", action="store_true", help="no progress and no summary")
    add("--version", action="version", version=f"zsre {importlib.metadata.version('zsre')}")
    return parser


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for, checked as far as that goes without loading anything."""

    corpus: Corpus
    output: Path
    cut: CutSettings
    records: RecordSettings


def run(args: argparse.Namespace) -> None:
    """Extract as the arguments say; raise ZsreError for whatever a person can mend."""
    plan = _plan(args)
    job = _load_job(args, plan)
    output = open_output(plan.output, args.overwrite)
    console = Console(stderr=True)
    started = time.monotonic()
    counts = Counts()
    facts = {
        "zsre": importlib.metadata.version("zsre"),
        "started": _now(),
        "corpus": plan.corpus.name,
        "relations_source": job.relations.source,
        "device": job.engine.device,
        **job.facts,
    }
    output.write_run({"status": "running", **facts})
    try:
        with RunProgress(console, plan.corpus.size, args.quiet) as progress:
            extract(plan.corpus.shards(plan.cut), job, output, progress.advance, counts)
    except BaseException as error:
        with suppress(ZsreError):
            output.write_run({"status": "stopped", **facts, "stopped": _now(), "counts": counts.to_dict()})
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(_how_far(counts, output)) from error
        raise
    output.write_run({"status": "finished", **facts, "finished": _now(), "counts": counts.to_dict()})
    if counts.documents == 0:
        raise NothingExtractedError(_nothing(plan, counts))
    _report(args, job, output, counts, time.monotonic() - started, console)


def _plan(args: argparse.Namespace) -> _Plan:
    if args.relations is None:
        raise UsageError("--relations is missing: give a relations file, or wikidata for the catalogue that ships")
    for flag, value, least in (
        ("--max-relations", args.max_relations, 1),
        ("--max-mentions", args.max_mentions, 2),
        ("--processes", args.processes, 1),
        ("--threads", args.threads, 1),
        ("--show", args.show, 0),
    ):
        if value is not None and value < least:
            raise UsageError(f"{flag} {value}: must be at least {least}")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise UsageError(f"--threshold {args.threshold}: must lie between 0 and 1")
    keep = tuple(name.strip() for name in args.keep.split(",")) if args.keep else ()
    check_kept(keep)
    plan = _Plan(
        corpus=open_corpus(args.corpus),
        output=default_output(args.corpus) if args.output is None else args.output,
        cut=CutSettings(args.shard_lines, args.max_line_bytes, args.limit),
        records=RecordSettings(args.text_field, args.id_field, keep, args.max_text_chars),
    )
    check_output(plan.output, args.overwrite)
    return plan


def _load_job(args: argparse.Namespace, plan: _Plan) -> Job:
    """Load the relations, the pipeline and the model, what is quick to fail first."""
    relations = load_relations(args.relations)
    annotator = load_annotator(args.spacy_model, args.processes)
    # The catalogue is nobody's to edit: with a pipeline of other labels, some of its relations just find nothing.
    if args.relations.partition(":")[0] != CATALOGUE:
        check_types(relations, understood_types(annotator.labels))
    engine = load_engine(args.model, args.device, args.threads)
    rules = make_rules(relations, engine.contract.calibration, args.threshold, args.max_relations)
    return Job(plan.records, annotator, engine, relations, rules, args.max_mentions)


def _report(
    args: argparse.Namespace, job: Job, output: OutputDirectory, counts: Counts, seconds: float, console: Console
) -> None:
    if not args.quiet:
        contract = job.engine.contract
        unseen = tuple(job.mask.unseen(counts.types_seen)) if counts.given_entities else ()
        summary = RunSummary(counts, seconds, job.engine.device, contract.name, output.path, unseen)
        for line in summary_lines(summary):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    shown = args.show
    if shown is None:
        shown = _SHOWN_ON_A_TERMINAL if sys.stdout.isatty() and not args.quiet else 0
    if shown and counts.triples:
        _show(output, shown)


def _show(output: OutputDirectory, most: int) -> None:
    """Print the first triples; a reader that has seen enough, such as ``head``, may close the pipe."""
    console = Console()
    # Captured, because rich would end the program itself, with an exit code of failure, on a closed pipe.
    with console.capture() as captured:
        console.print(triples_table(first_triples(output, most), console.width))
    try:
        sys.stdout.write(captured.get())
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more on its way out, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nothing(plan: _Plan, counts: Counts) -> str:
    if not counts.rejected:
        return f"{plan.corpus.name}: holds no records, so there is nothing to extract from"
    return (
        f"{plan.corpus.name}: every record was rejected ({reject_reasons(counts)}); "
        f"see {plan.output / REJECTS_FILE}, mend it, and run again with --overwrite"
    )


def _how_far(counts: Counts, output: OutputDirectory) -> str:
    return (
        f"after {output.parts:,} shards ({counts.lines:,} lines, {counts.triples:,} triples), which are in "
        f"{output.path}; --overwrite starts anew"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _configure_logging(quiet: bool) -> None:
    logging.basicConfig(format=f"{PROGRAM}: %(message)s")
    logging.getLogger("zsre").setLevel(logging.WARNING if quiet else logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
