"""What ``zsre-extract`` does once its arguments are parsed: check, load, extract, report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from zsre.relations.catalogue import load_relations
from zsre.relations.errors import NothingExtractedError, TooManyRejectsError, UsageError
from zsre.runner.corpus import Shard, cut
from zsre.runner.decide import TypeMask, make_rules
from zsre.runner.engine import load_relation_engine
from zsre.runner.estimate import estimate_lines, sample
from zsre.runner.extract import Executor, LocalExecutor
from zsre.runner.job_spec import JobSpec, make_spec, open_job, wanted_relations
from zsre.runner.kept import KeptDirectory, is_kept, open_kept, read_marker
from zsre.runner.kept_job import KeptJob, check_usable, kept_place, kept_results, kept_segment
from zsre.runner.output import REJECTS_FILE
from zsre.runner.plan import Plan, check_common, make_plan, open_output, wanted
from zsre.runner.recording import Run, recorded
from zsre.runner.report import (
    RunProgress,
    RunSummary,
    first_triples,
    reject_reasons,
    tell_summary,
    triples_table,
    write_out,
    writing_out,
)
from zsre.runner.run_state import earlier_run
from zsre.runner.session import processors
from zsre.runner.storage import without_scheme

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
    "engine": "local",
}


def run(args: argparse.Namespace) -> None:
    """Extract as the arguments say; raise ZsreError for whatever a person can mend."""
    args.corpus = [without_scheme(given) for given in args.corpus]
    args.output = args.output and without_scheme(args.output)
    if any(is_kept(Path(given)) for given in args.corpus):
        _run_kept(args)
        return
    plan = make_plan(args)
    relations = wanted_relations(args)
    shards = _first_shards(plan, anew=args.dry_run)
    spec = make_spec(args, relations, plan.records, all_types=plan.kept is not None and not args.save_fitting)
    if not args.dry_run:
        _extract(args, plan, spec, shards)
        return
    with open_job(spec) as job:
        write_out("".join(f"{line}\n" for line in estimate_lines(sample(plan, job), plan)))


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
    about = {"corpus": f"{path} ({kept.corpus})", "relations_source": relations.source, "device": scorer.device}
    facts = {**about, **job.facts}
    with recorded(output, [kept_segment(path, kept)], wanted(args), facts) as run:
        indices = (index for index in range(kept.shards or 0) if index not in run.done)
        for result in kept_results(path, job, indices, args.threads or processors()):
            run.commit(result, kept_place(result.index, result.counts))
    _finish(args, job.mask, job.keep, run, facts, time.monotonic() - started)


@contextmanager
def _executor(args: argparse.Namespace, plan: Plan, spec: JobSpec) -> Iterator[Executor]:
    """Load the job, in this process or in those of a cluster."""
    if args.engine == "ray":
        from zsre.runner.ray_executor import open_workers

        chatty = args.log_format == "plain" and not args.quiet
        with open_workers(spec, plan.output.name, args.ray_address, args.ray_workers, chatty) as workers:
            yield workers
    else:
        with open_job(spec) as job:
            yield LocalExecutor(job)


def _extract(args: argparse.Namespace, plan: Plan, spec: JobSpec, shards: Iterator[Shard] | None) -> None:
    as_log = args.log_format == "json"
    with _executor(args, plan, spec) as executor:
        started = time.monotonic()
        about = {"corpus": plan.corpus, "relations_source": spec.relations.source}
        facts = {**about, **executor.facts, "settings": plan.settings}
        with _vectors(args, plan, executor) as vectors:
            if vectors is not None:
                facts["vectors"] = {"directory": str(plan.kept), "precision": vectors.facts.precision}
            has_all = (lambda index: True) if vectors is None else vectors.has
            with recorded(plan.output, plan.segments, plan.wish, facts, has_all) as run:
                if run.done or shards is None:
                    shards = cut(run.segments, plan.cut, run.done)
                if vectors is not None:
                    vectors.begin(run.done)
                with RunProgress(Console(stderr=True), plan.size, args.quiet, run.bytes_done, as_log) as progress:
                    executor.extract(shards, run, progress.advance, vectors)
                if vectors is not None:
                    vectors.finish(len(run.done))
        seconds = time.monotonic() - started
    _finish(args, TypeMask(spec.relations), spec.records.keep, run, facts, seconds)


@contextmanager
def _vectors(args: argparse.Namespace, plan: Plan, executor: Executor) -> Iterator[KeptDirectory | None]:
    """Open the directory where vectors are kept, if they are."""
    if plan.kept is None:
        yield None
        return
    going_on = earlier_run(plan.output, plan.wish) is not None
    facts = executor.kept_facts(plan.corpus, args.save_precision)
    with open_kept(plan.kept, facts, args.overwrite, going_on) as vectors:
        yield vectors


def _first_shards(plan: Plan, anew: bool) -> Iterator[Shard] | None:
    """Return the shards of a run that begins anew, as ``anew`` says or its output does; the first of them is read now.

    What can't be read at all must stop a run before its output is touched.
    """
    if not anew and earlier_run(plan.output, plan.wish) is not None:
        return None
    shards = cut(plan.segments, plan.cut)
    first = next(shards, None)
    if first is None:
        raise NothingExtractedError(f"{plan.corpus}: {_EMPTY}")
    return chain([first], shards)


def _finish(
    args: argparse.Namespace, mask: TypeMask, keep: Sequence[str], run: Run, facts: Mapping[str, Any], seconds: float
) -> None:
    """Report what a run came to; raise an error for one that came to nothing, or to too little."""
    counts, output = run.counts, run.output
    if counts.documents == 0:
        raise NothingExtractedError(_nothing(str(facts["corpus"]), run))
    summary = RunSummary(
        counts,
        run.fresh,
        seconds,
        facts["device"],
        facts["model"]["name"],
        output.name,
        # What spaCy finds has the types that it has.
        unseen_types=tuple(mask.unseen(counts.types_seen)) if counts.given_entities else (),
        unnamed_types=tuple(sorted(counts.types_unnamed)) if counts.given_entities else (),
        missing_fields=tuple(name for name in keep if name not in counts.fields_kept),
    )
    tell_summary(summary, args.quiet, args.log_format == "json")
    shown = args.show
    if shown is None:
        shown = _SHOWN_ON_A_TERMINAL if sys.stdout.isatty() and not args.quiet else 0
    if shown and counts.triples:
        console = Console()
        with writing_out(), console.capture() as captured:
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
        f"{run.output.folder.within(REJECTS_FILE)} says what is wrong with each; mend the corpus, and run again"
    )
