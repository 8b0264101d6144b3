"""What ``zsre-extract`` does once its arguments are parsed: check, load, extract, report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from rich.console import Console

from zsre.relations.catalogue import CATALOGUE, load_relations
from zsre.relations.errors import NothingExtractedError, TooManyRejectsError, UsageError
from zsre.relations.relation import SPACY_TYPES, RelationSet, understood_types
from zsre.relations.relations_file import check_types
from zsre.runner.corpus import Shard, cut
from zsre.runner.decide import make_rules
from zsre.runner.engine import load_engine, load_relation_engine
from zsre.runner.entities import load_annotator
from zsre.runner.estimate import estimate_lines, sample
from zsre.runner.extract import extract
from zsre.runner.job import Decider, Job
from zsre.runner.kept import KeptDirectory, is_kept, kept_facts, open_kept, read_marker
from zsre.runner.kept_job import KeptJob, check_usable, kept_place, kept_results, kept_segment
from zsre.runner.lock import FolderLock
from zsre.runner.output import REJECTS_FILE
from zsre.runner.pipeline import DEFAULT_PIPELINES
from zsre.runner.plan import Plan, check_common, make_plan, open_output, wanted
from zsre.runner.recording import Run, recorded
from zsre.runner.records import RecordSettings
from zsre.runner.report import (
    RunProgress,
    RunSummary,
    first_triples,
    reject_reasons,
    tell_summary,
    triples_table,
    write_out,
)
from zsre.runner.run_state import earlier_run

_SHOWN_ON_A_TERMINAL: Final = 10
_EMPTY: Final = "holds no records, so there is nothing to extract from"
#: Flags that are for reading a corpus, and their values when they aren't given.
_READING: Final[Mapping[str, object]] = {
    "save_pairs": None,
    "spacy_model": None,
    "id_field": None,
    "keep": "",
    "limit": None,
    "append": False,
    "dry_run": False,
}


def run(args: argparse.Namespace) -> None:
    """Extract as the arguments say; raise ZsreError for whatever a person can mend."""
    if any(is_kept(Path(given)) for given in args.corpus):
        _run_kept(args)
        return
    plan = make_plan(args)
    relations = wanted_relations(args)
    shards = _first_shards(plan)
    with open_job(args, relations, plan.records, args.processes) as loaded:
        job = replace(loaded, all_types=plan.kept is not None and not args.save_fitting)
        if args.dry_run:
            write_out("".join(f"{line}\n" for line in estimate_lines(sample(plan, job), plan)))
        else:
            _extract(args, plan, job, shards)


def _run_kept(args: argparse.Namespace) -> None:
    """Extract from kept vectors."""
    check_common(args)
    path = Path(args.corpus[0])
    if len(args.corpus) > 1:
        raise UsageError(f"{path}: holds vectors, and those cannot be read together with other inputs")
    for flag, default in _READING.items():
        if getattr(args, flag) != default:
            raise UsageError(f"--{flag.replace('_', '-')}: is for reading a corpus, and {path} holds vectors")
    output = open_output(args)
    kept = read_marker(path)
    relations = load_relations(args.relations)
    scorer = load_relation_engine(args.model, args.device, args.threads)
    check_usable(path, kept, scorer, relations)
    rules = make_rules(relations, scorer.contract, args.threshold, args.max_relations)
    job = KeptJob(kept, scorer, relations, rules)
    started = time.monotonic()
    facts = _facts(job, f"{path} ({kept.corpus})")
    with recorded(output, [kept_segment(path, kept)], wanted(args), facts) as run:
        indices = (index for index in range(kept.shards or 0) if index not in run.done)
        for result in kept_results(path, job, indices):
            run.commit(result, kept_place(result.index, result.counts))
    _finish(args, job, run, facts, time.monotonic() - started)


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


def _extract(args: argparse.Namespace, plan: Plan, job: Job, shards: Iterator[Shard] | None) -> None:
    started = time.monotonic()
    facts = {**_facts(job, plan.corpus), "settings": plan.settings}
    with _vectors(args, plan, job) as vectors:
        if vectors is not None:
            facts["vectors"] = {"directory": str(plan.kept), "precision": vectors.facts.precision}
        has_all = (lambda index: True) if vectors is None else vectors.has
        with recorded(plan.output, plan.segments, plan.wish, facts, has_all) as run:
            if run.done or shards is None:
                shards = cut(run.segments, plan.cut, run.done)
            as_log = args.log_format == "json"
            with RunProgress(Console(stderr=True), plan.size, args.quiet, run.bytes_done, as_log) as progress:
                extract(shards, job, run, progress.advance, vectors)
            if vectors is not None:
                vectors.finish(len(run.done))
    _finish(args, job, run, facts, time.monotonic() - started)


@contextmanager
def _vectors(args: argparse.Namespace, plan: Plan, job: Job) -> Iterator[KeptDirectory | None]:
    """Open the directory where vectors are kept, if they are."""
    if plan.kept is None:
        yield None
        return
    going_on = earlier_run(plan.output, plan.wish) is not None
    facts = kept_facts(job, plan.corpus, args.save_precision)
    vectors = open_kept(plan.kept, facts, args.overwrite, going_on)
    with closing(FolderLock(plan.kept)):
        yield vectors


def _facts(job: Decider, corpus: str) -> dict[str, object]:
    return {"corpus": corpus, "relations_source": job.relations.source, "device": job.engine.device, **job.facts}


def _first_shards(plan: Plan) -> Iterator[Shard] | None:
    """Return the shards of a run that begins anew, the first of which is read now.

    What can't be read at all must stop a run before its output is touched.
    """
    if earlier_run(plan.output, plan.wish) is not None:
        return None
    shards = cut(plan.segments, plan.cut)
    first = next(shards, None)
    if first is None:
        raise NothingExtractedError(f"{plan.corpus}: {_EMPTY}")
    return chain([first], shards)


def _finish(args: argparse.Namespace, job: Decider, run: Run, facts: Mapping[str, object], seconds: float) -> None:
    """Report what a run came to; raise an error for one that came to nothing, or to too little."""
    counts, output = run.counts, run.output
    if counts.documents == 0:
        raise NothingExtractedError(_nothing(str(facts["corpus"]), run))
    unseen = tuple(job.mask.unseen(counts.types_seen)) if counts.given_entities else ()
    device, model = job.engine.device, job.engine.contract.name
    summary = RunSummary(counts, run.fresh, seconds, device, model, output.name, unseen)
    tell_summary(summary, args.quiet, args.log_format == "json")
    shown = args.show
    if shown is None:
        shown = _SHOWN_ON_A_TERMINAL if sys.stdout.isatty() and not args.quiet else 0
    if shown and counts.triples:
        console = Console()
        with console.capture() as captured:
            console.print(triples_table(first_triples(output, shown), console.width))
        write_out(captured.get())
    records = counts.lines - counts.blank_lines
    if counts.rejected > args.max_reject_rate * records:
        raise TooManyRejectsError(
            f"{counts.rejected:,} of {records:,} records were rejected ({reject_reasons(counts)}), and "
            f"--max-reject-rate {args.max_reject_rate:g} allows fewer; see {output.folder.within(REJECTS_FILE)}; "
            "the triples of the others are complete"
        )


def _nothing(corpus: str, run: Run) -> str:
    if not run.counts.rejected:
        return f"{corpus}: {_EMPTY}"
    return (
        f"{corpus}: every record was rejected ({reject_reasons(run.counts)}); "
        f"see {run.output.folder.within(REJECTS_FILE)}, mend it, and run again"
    )
