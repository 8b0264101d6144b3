"""What a job is made from, small enough to be sent to another process or machine, which loads the job for itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from zsre.relations.catalogue import is_catalogue, load_relations
from zsre.relations.relation import SPACY_TYPES, RelationSet, understood_types
from zsre.relations.relations_file import check_types
from zsre.runner.engine import load_engine
from zsre.runner.entities import load_annotator
from zsre.runner.flags import MAX_MENTIONS, MAX_RELATIONS
from zsre.runner.job import Job
from zsre.runner.pipeline import DEFAULT_PIPELINES
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules


@dataclass(frozen=True)
class JobSpec:
    """Everything that a `Job` is loaded from; ``None`` stands for whatever is the default."""

    relations: RelationSet
    records: RecordSettings
    model: Path | None = None
    device: str = "auto"
    threads: int | None = None
    spacy_model: str | None = None
    processes: int = 1
    threshold: float | None = None
    max_relations: int = MAX_RELATIONS
    max_mentions: int = MAX_MENTIONS
    all_types: bool = False
    checks_types: bool = True


def wanted_relations(args: argparse.Namespace) -> RelationSet:
    """Return the relations that the arguments ask for."""
    # What the default pipeline finds is known before it is loaded, so that a relations file fails early and just once.
    default = args.spacy_model in (None, *DEFAULT_PIPELINES)
    return load_relations(args.relations, understood_types(SPACY_TYPES) if default else None)


def make_spec(
    args: argparse.Namespace, relations: RelationSet, records: RecordSettings, all_types: bool = False
) -> JobSpec:
    """Return what the arguments ask for; those that a command doesn't have are as they are by default."""
    return JobSpec(
        relations=relations,
        records=records,
        model=args.model,
        device=args.device,
        threads=args.threads,
        spacy_model=args.spacy_model,
        processes=getattr(args, "processes", 1),
        threshold=args.threshold,
        max_relations=args.max_relations,
        max_mentions=args.max_mentions,
        all_types=all_types,
        # The catalogue is nobody's to edit: with a pipeline of other labels, some of its relations just find nothing.
        checks_types=not is_catalogue(args.relations),
    )


@contextmanager
def open_job(spec: JobSpec) -> Iterator[Job]:
    """Load the pipeline, check the relations against it, load the model, and close the pipeline in the end."""
    with closing(load_annotator(spec.spacy_model, spec.processes)) as annotator:
        if spec.checks_types:
            check_types(spec.relations, understood_types(annotator.labels))
        engine = load_engine(spec.model, spec.device, spec.threads)
        rules = make_rules(spec.relations, engine.contract, spec.threshold, spec.max_relations)
        yield Job(spec.records, annotator, engine, spec.relations, rules, spec.max_mentions, spec.all_types)
