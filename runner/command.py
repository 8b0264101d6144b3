"""What ``zsre-extract`` does once its arguments are parsed: check, load, extract, report."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from rich.console import Console

from zsre.relations.catalogue import CATALOGUE, load_relations
from zsre.relations.errors import NothingExtractedError, UsageError, ZsreError
from zsre.relations.relation import SPACY_TYPES, RelationSet, understood_types
from zsre.relations.relations_file import check_types
from zsre.runner.corpus import Corpus, CutSettings, Shard, open_corpus
from zsre.runner.counts import Counts, counted
from zsre.runner.decide import make_rules
from zsre.runner.engine import load_engine
from zsre.runner.entities import load_annotator
from zsre.runner.extract import extract
from zsre.runner.flags import check_flags, check_least
from zsre.runner.job import Job
from zsre.runner.output import REJECTS_FILE, OutputDirectory, check_output, default_output, open_output
from zsre.runner.pipeline import DEFAULT_PIPELINES
from zsre.runner.records import RecordSettings
from zsre.runner.report import (
    RunProgress,
    RunSummary,
    first_triples,
    reject_reasons,
    summary_lines,
    triples_table,
    write_out,
)
from zsre.runner.triples import check_kept

_SHOWN_ON_A_TERMINAL: Final = 10
_EMPTY: Final = "holds no records, so there is nothing to extract from"


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
    relations = wanted_relations(args)
    shards = _shards(plan)
    with open_job(args, relations, plan.records, args.processes) as job:
        _extract(args, plan, job, shards)


def wanted_relations(args: argparse.Namespace) -> RelationSet:
    """Return the relations that the arguments ask for."""
    # What the default pipeline finds is known before it is loaded, so that a relations file fails early and just once.
    default = args.spacy_model in (None, *DEFAULT_PIPELINES)
    return load_relations(args.relations, understood_types(SPACY_TYPES) if default else None)


@contextmanager
def open_job(
    args: argparse.Namespace, relations: RelationSet, records: RecordSettings, processes: int = 1
) -> Iterator[Job]:
    """Load the pipeline, check the relations against it, load the model, and close the pipeline in the end."""
    with closing(load_annotator(args.spacy_model, processes)) as annotator:
        # The catalogue is nobody's to edit: with a pipeline of other labels, some of its relations just find nothing.
        if args.relations.partition(":")[0] != CATALOGUE:
            check_types(relations, understood_types(annotator.labels))
        engine = load_engine(args.model, args.device, args.threads)
        rules = make_rules(relations, engine.contract, args.threshold, args.max_relations)
        yield Job(records, annotator, engine, relations, rules, args.max_mentions)


def _extract(args: argparse.Namespace, plan: _Plan, job: Job, shards: Iterator[Shard]) -> None:
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
            extract(shards, job, output, progress.advance, counts)
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
    check_flags(args)
    check_least(args, processes=1, show=0)
    if args.output == "":
        raise UsageError("-o: the directory has no name; leave -o out, or name one")
    keep = tuple(name.strip() for name in args.keep.split(",")) if args.keep else ()
    check_kept(keep)
    plan = _Plan(
        corpus=open_corpus(args.corpus),
        output=default_output(args.corpus) if args.output is None else Path(args.output),
        cut=CutSettings(args.shard_lines, args.max_line_bytes, args.limit),
        records=RecordSettings(args.text_field, args.id_field, keep, args.max_text_chars),
    )
    check_output(plan.output, args.overwrite)
    return plan


def _shards(plan: _Plan) -> Iterator[Shard]:
    """Return the shards, of which the first is read now: what can't be read at all must stop before the output."""
    shards = plan.corpus.shards(plan.cut)
    first = next(shards, None)
    if first is None:
        raise NothingExtractedError(f"{plan.corpus.name}: {_EMPTY}")
    return chain([first], shards)


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
    """Print the first triples."""
    console = Console()
    with console.capture() as captured:
        console.print(triples_table(first_triples(output, most), console.width))
    write_out(captured.get())


def _nothing(plan: _Plan, counts: Counts) -> str:
    if not counts.rejected:
        return f"{plan.corpus.name}: {_EMPTY}"
    return (
        f"{plan.corpus.name}: every record was rejected ({reject_reasons(counts)}); "
        f"see {plan.output / REJECTS_FILE}, mend it, and run again"
    )


def _how_far(counts: Counts, output: OutputDirectory) -> str:
    done = f"{counted(counts.lines, 'line')}, {counted(counts.triples, 'triple')}"
    return f"after {counted(output.parts, 'part')} ({done}), kept in {output.path}; --overwrite starts anew"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
