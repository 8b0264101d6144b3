"""What ``zsre-extract`` does with text: check, load, extract, report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from rich.console import Console

from zsre.relations.errors import NothingExtractedError
from zsre.relations.terminal import write_out
from zsre.runner.corpus import Shard, cut
from zsre.runner.ending import EMPTY, finish
from zsre.runner.estimate import estimate_lines, sample
from zsre.runner.extract import Executor, LocalExecutor
from zsre.runner.job_spec import JobSpec, make_spec, open_job, wanted_relations
from zsre.runner.kept import KeptDirectory, open_kept
from zsre.runner.plan import Plan, make_plan, may_replace_vectors
from zsre.runner.progress import RunProgress
from zsre.runner.recording import recorded
from zsre.runner.run_state import earlier_run
from zsre.runner.store_names import is_relative


def run_text(args: argparse.Namespace) -> None:
    """Extract as the arguments say; raise ZsreError for whatever a person can mend."""
    plan = make_plan(args)
    relations = wanted_relations(args)
    shards = _first_shards(plan, anew=args.dry_run)
    spec = make_spec(args, relations, plan.records, all_types=plan.kept is not None and not args.save_fitting)
    if not args.dry_run:
        _extract(args, plan, spec, shards)
        return
    with open_job(spec) as job:
        write_out("".join(f"{line}\n" for line in estimate_lines(sample(plan, job, args.save_precision), plan)))


@contextmanager
def _executor(args: argparse.Namespace, plan: Plan, spec: JobSpec) -> Iterator[Executor]:
    """Load the job, in this process or in those of a cluster."""
    if args.engine == "ray":
        from zsre.runner.ray_executor import open_workers

        chatty = args.log_format == "plain" and not args.quiet
        output, relative = plan.output.folder.name, any(is_relative(name) for name in _opened_by_workers(plan, spec))
        with open_workers(spec, output, args.ray_address, args.ray_workers, chatty, relative) as workers:
            yield workers
    else:
        with open_job(spec) as job:
            yield LocalExecutor(job)


def _opened_by_workers(plan: Plan, spec: JobSpec) -> Iterator[str]:
    """Yield the names of all that workers open for themselves."""
    yield from (segment.name for segment in plan.segments)
    yield plan.output.folder.name
    yield from (str(path) for path in (plan.kept, spec.model) if path is not None)
    # The name of a package is no path, unless a folder goes by it.
    if spec.spacy_model and Path(spec.spacy_model).exists():
        yield spec.spacy_model


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
                    shards = cut(run.segments, plan.cut, run.done, plan.records.fields)
                if vectors is not None:
                    vectors.begin(run.done)
                with RunProgress(Console(stderr=True), plan.size, args.quiet, run.bytes_done, as_log) as progress:
                    executor.extract(shards, run, progress.advance, vectors)
                if vectors is not None:
                    vectors.finish(len(run.done))
        seconds = time.monotonic() - started
    finish(args, spec.relations, spec.records.keep, run, facts, seconds)


@contextmanager
def _vectors(args: argparse.Namespace, plan: Plan, executor: Executor) -> Iterator[KeptDirectory | None]:
    """Open the directory where vectors are kept, if they are."""
    if plan.kept is None:
        yield None
        return
    going_on = earlier_run(plan.output, plan.wish) is not None
    facts = executor.kept_facts(plan.corpus, args.save_precision)
    with open_kept(plan.kept, facts, may_replace_vectors(args, plan), going_on) as vectors:
        yield vectors


def _first_shards(plan: Plan, anew: bool) -> Iterator[Shard] | None:
    """Return the shards of a run that begins anew, as ``anew`` says or its output does; the first of them is read now.

    What can't be read at all must stop a run before its output is touched.
    """
    if not anew and earlier_run(plan.output, plan.wish) is not None:
        return None
    shards = cut(plan.segments, plan.cut, fields=plan.records.fields)
    first = next(shards, None)
    if first is None:
        raise NothingExtractedError(f"{plan.corpus}: {EMPTY}")
    return chain([first], shards)
