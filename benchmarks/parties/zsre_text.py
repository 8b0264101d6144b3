"""zsre from plain text to Parquet, as zsre-extract does it, loading left out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.parties.zsre_given import onnxruntime_version
from benchmarks.protocol import Counts, Job, Work, serve
from zsre.relations.catalogue import load_relations
from zsre.runner.corpus import CutSettings, open_corpus
from zsre.runner.counts import Counts as ExtractCounts
from zsre.runner.decide import make_rules
from zsre.runner.engine import load_engine
from zsre.runner.entities import load_annotator
from zsre.runner.extract import extract
from zsre.runner.job import Job as ExtractJob
from zsre.runner.output import open_output
from zsre.runner.records import RecordSettings


def prepare(job: Job) -> Work:
    """Load the pipeline, the model and the relations."""
    annotator = load_annotator(None, job["processes"])
    engine = load_engine(Path(job["model"]) if job.get("model") else None, "cpu", job["threads"])
    relations = load_relations(job["relations"])
    rules = make_rules(relations, engine.contract, None, 3)
    extraction = ExtractJob(RecordSettings(), annotator, engine, relations, rules)
    assert len(extraction.relation_vectors) == len(relations)

    def run() -> Counts:
        counts = ExtractCounts()
        shards = open_corpus(job["corpus"]).shards(CutSettings(limit=job["items"]))
        with tempfile.TemporaryDirectory() as folder:
            output = open_output(Path(folder) / "out.triples", overwrite=False)
            extract(shards, extraction, output, lambda size, documents: None, counts)
        names = ("documents", "sentences", "mentions", "scored_pairs", "triples")
        return {name: getattr(counts, name) for name in names}

    facts = {"model": engine.contract.name, "fingerprint": engine.contract.fingerprint, "relations": len(relations)}
    return Work(run, {**facts, "pipeline": annotator.name, "onnxruntime": onnxruntime_version()})


if __name__ == "__main__":
    serve(prepare)
