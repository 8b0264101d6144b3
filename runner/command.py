"""What ``zsre-extract`` does once its arguments are parsed: check, load, extract, report."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
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
from zsre.runner.engine import load_engine, load_relation_engine
from zsre.runner.entities import load_annotator
from zsre.runner.extract import extract, write_results
from zsre.runner.flags import check_flags, check_least
from zsre.runner.job import Decider, Job
from zsre.runner.kept import check_kept_target, is_kept, kept_facts, open_kept, read_marker
from zsre.runner.kept_job import KeptJob, check_usable, kept_results
from zsre.runner.kept_tables import PRECISIONS
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
    kept: Path | None

    @property
    def target(self) -> _Target:
        """Return what is read and written, by name."""
        return _Target(self.corpus.name, self.output)


@dataclass(frozen=True, slots=True)
class _Target:
    """What is read, by name, and where triples go."""

    corpus: str
    output: Path


def run(args: argparse.Namespace) -> None:
    """Extract as the arguments say; raise ZsreError for whatever a person can mend."""
    if is_kept(Path(args.corpus)):
        _run_kept(args)
        return
    plan = _plan(args)
    relations = wanted_relations(args)
    shards = _shards(plan)
    with open_job(args, relations, plan.records, args.processes) as job:
        _extract(args, plan, replace(job, all_types=plan.kept is not None and not args.save_fitting), shards)


def _run_kept(args: argparse.Namespace) -> None:
    """Extract from kept vectors."""
    check_flags(args)
    check_least(args, show=0)
    path = Path(args.corpus)
    for flag in ("save_pairs", "spacy_model", "id_field", "keep", "limit"):
        if getattr(args, flag):
            raise UsageError(f"--{flag.replace('_', '-')}: is for reading a corpus, and {path} holds vectors")
    output = _output_path(args)
    check_output(output, args.overwrite)
    facts = read_marker(path)
    relations = load_relations(args.relations)
    scorer = load_relation_engine(args.model, args.device, args.threads)
    check_usable(path, facts, scorer, relations)
    rules = make_rules(relations, scorer.contract, args.threshold, args.max_relations)
    job = KeptJob(facts, scorer, relations, rules)
    counts = Counts()
    with _recorded(args, _Target(f"{path} ({facts.corpus})", output), job, counts) as directory:
        write_results(kept_results(path, job), directory, counts)


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
    counts = Counts()
    with _recorded(args, plan.target, job, counts) as output:
        sink = None
        if plan.kept is not None:
            sink = open_kept(plan.kept, kept_facts(job, plan.corpus.name, args.save_precision), args.overwrite)
        with RunProgress(Console(stderr=True), plan.corpus.size, args.quiet) as progress:
            extract(shards, job, output, progress.advance, counts, sink)
        if sink is not None:
            sink.finish(counts.shards)


@contextmanager
def _recorded(args: argparse.Namespace, target: _Target, job: Decider, counts: Counts) -> Iterator[OutputDirectory]:
    """Open the output, keep ``run.json`` true to what happens, and report in the end."""
    output = open_output(target.output, args.overwrite)
    started = time.monotonic()
    facts = {
        "zsre": importlib.metadata.version("zsre"),
        "started": _now(),
        "corpus": target.corpus,
        "relations_source": job.relations.source,
        "device": job.engine.device,
        **job.facts,
    }
    output.write_run({"status": "running", **facts})
    try:
        yield output
    except BaseException as error:
        with suppress(ZsreError):
            output.write_run({"status": "stopped", **facts, "stopped": _now(), "counts": counts.to_dict()})
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(_how_far(counts, output)) from error
        raise
    output.write_run({"status": "finished", **facts, "finished": _now(), "counts": counts.to_dict()})
    if counts.documents == 0:
        raise NothingExtractedError(_nothing(target, counts))
    _report(args, job, output, counts, time.monotonic() - started)


def _plan(args: argparse.Namespace) -> _Plan:
    check_flags(args)
    check_least(args, processes=1, show=0)
    keep = tuple(name.strip() for name in args.keep.split(",")) if args.keep else ()
    check_kept(keep)
    plan = _Plan(
        corpus=open_corpus(args.corpus),
        output=_output_path(args),
        cut=CutSettings(args.shard_lines, args.max_line_bytes, args.limit),
        records=RecordSettings(args.text_field, args.id_field, keep, args.max_text_chars),
        kept=args.save_pairs,
    )
    check_output(plan.output, args.overwrite)
    if plan.kept is not None:
        if plan.kept.resolve() == plan.output.resolve():
            raise UsageError(f"--save-pairs {plan.kept}: is where the triples go; name another directory")
        check_kept_target(plan.kept, args.overwrite)
    elif args.save_fitting or args.save_precision != PRECISIONS[0]:
        raise UsageError("--save-fitting and --save-precision say how vectors are kept: name a directory, --save-pairs")
    return plan


def _output_path(args: argparse.Namespace) -> Path:
    if args.output == "":
        raise UsageError("-o: the directory has no name; leave -o out, or name one")
    return default_output(args.corpus) if args.output is None else Path(args.output)


def _shards(plan: _Plan) -> Iterator[Shard]:
    """Return the shards, of which the first is read now: what can't be read at all must stop before the output."""
    shards = plan.corpus.shards(plan.cut)
    first = next(shards, None)
    if first is None:
        raise NothingExtractedError(f"{plan.corpus.name}: {_EMPTY}")
    return chain([first], shards)


def _report(args: argparse.Namespace, job: Decider, output: OutputDirectory, counts: Counts, seconds: float) -> None:
    if not args.quiet:
        console = Console(stderr=True)
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


def _nothing(target: _Target, counts: Counts) -> str:
    if not counts.rejected:
        return f"{target.corpus}: {_EMPTY}"
    return (
        f"{target.corpus}: every record was rejected ({reject_reasons(counts)}); "
        f"see {target.output / REJECTS_FILE}, mend it, and run again"
    )


def _how_far(counts: Counts, output: OutputDirectory) -> str:
    done = f"{counted(counts.lines, 'line')}, {counted(counts.triples, 'triple')}"
    return f"after {counted(output.parts, 'part')} ({done}), kept in {output.path}; --overwrite starts anew"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
