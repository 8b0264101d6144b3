"""zsre from plain text to Parquet, as zsre-extract does it, loading left out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.parties.zsre_given import onnxruntime_version
from benchmarks.protocol import Counts, Job, Work, serve
from zsre.relations.catalogue import load_relations
from zsre.runner.corpus import CutSettings, cut
from zsre.runner.engine import load_engine
from zsre.runner.entities import load_annotator
from zsre.runner.extract import extract
from zsre.runner.inputs import find_segments
from zsre.runner.job import Job as ExtractJob
from zsre.runner.output import OutputDirectory
from zsre.runner.recording import Run
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.storage import LocalFolder


def prepare(job: Job) -> Work:
    """Load the pipeline, the model and the relations."""
    annotator = load_annotator(None, job["processes"])
    engine = load_engine(Path(job["model"]) if job.get("model") else None, "cpu", job["threads"])
    relations = load_relations(job["relations"])
    rules = make_rules(relations, engine.contract, None, 3)
    extraction = ExtractJob(RecordSettings(), annotator, engine, relations, rules)
    assert len(extraction.relation_vectors) == len(relations)

    def run() -> Counts:
        shards = cut(find_segments([job["corpus"]]), CutSettings(limit=job["items"]))
        with tempfile.TemporaryDirectory() as folder:
            run = Run(OutputDirectory(LocalFolder(Path(folder) / "out.triples")))
            run.output.begin()
            extract(shards, extraction, run, lambda size, documents: None)
        names = ("documents", "sentences", "mentions", "scored_pairs", "triples")
        return {name: getattr(run.counts, name) for name in names}

    facts = {"model": engine.contract.name, "fingerprint": engine.contract.fingerprint, "relations": len(relations)}
    return Work(run, {**facts, "pipeline": annotator.name, "onnxruntime": onnxruntime_version()})


if __name__ == "__main__":
    serve(prepare)
