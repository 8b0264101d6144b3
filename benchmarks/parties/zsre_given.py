"""zsre on sentences whose entities are given: pairing, encoding and deciding, as zsre-extract does it."""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from benchmarks.flops import find_encoder, score_flops
from benchmarks.protocol import Counts, Job, Work, read_records, serve
from zsre.relations.catalogue import load_relations
from zsre.relations.contract import TOKENIZER_KEY
from zsre.relations.examples import Mention
from zsre.relations.tokens import EncoderInputs, prepare_tokenizer, token_rows
from zsre.relations.vectors import PairSentence
from zsre.runner.batch import BATCH_PAIRS, BATCH_SENTENCES
from zsre.runner.decide import decide
from zsre.runner.engine import Engine, load_engine, shipped_model
from zsre.runner.pair_types import PairTypes, TypeMask
from zsre.runner.pairing import pair_mentions
from zsre.runner.rules import make_rules
from zsre.runner.session import choose_device, open_session, session_metadata

MAX_MENTIONS = 40


def prepare(job: Job) -> Work:
    """Load the model and the relations; ``stage`` is ``decide`` or, to stop with the vectors, ``encode``."""
    change(job.get("constants", {}))
    engine = load_engine(model_path(job), job.get("device", "cpu"), job["threads"])
    return work(job, engine, {"onnxruntime": onnxruntime_version()})


def model_path(job: Job) -> Path | None:
    """Return the job's model, ``None`` being the one that ships."""
    return Path(job["model"]) if job.get("model") else None


def work(job: Job, engine: Engine, versions: Mapping[str, object]) -> Work:
    """Return what an engine has to do; ``versions`` are those of the libraries that it uses."""
    relations = load_relations(job["relations"])
    vectors = engine.relation_vectors(relations)
    rules, mask = make_rules(relations, engine.contract, None, 3), TypeMask(relations)
    given = [(record["text"], mentions(record)) for record in read_records(job)]
    operations = arithmetic(engine, model_path(job), list(paired(given, mask)), mask)
    graph = GraphClock(engine)

    def run() -> Counts:
        pairs = triples = 0
        graph.seconds = 0.0
        for batch in batches(paired(given, mask)):
            encoded = engine.encode(batch)
            pairs += len(encoded.kept)
            if job["stage"] == "decide":
                triples += len(decide(encoded, vectors, mask, PairTypes.of(types_of(batch)), ends_of(batch), rules))
        done = {"sentences": len(given), "pairs": pairs, "triples": triples, "own_seconds": graph.seconds}
        return {**done, **operations}

    facts = {"model": engine.contract.name, "fingerprint": engine.contract.fingerprint, "relations": len(relations)}
    return Work(run, {**facts, **versions})


def change(constants: Mapping[str, Any]) -> None:
    """Give constants of modules other values, before anything is made by them."""
    for name, given in constants.items():
        module, _, constant = name.rpartition(".")
        owner = importlib.import_module(module)
        assert hasattr(owner, constant), name
        setattr(owner, constant, given)


class GraphClock:
    """Measures how long an engine's graph runs, in however many threads at a time."""

    def __init__(self, engine: Engine) -> None:
        self.seconds = 0.0
        self._running = 0
        self._since = 0.0
        self._lock = Lock()
        self._run = engine.run_graph
        engine.run_graph = self._timed  # type: ignore[method-assign]

    def _timed(self, inputs: EncoderInputs) -> Any:
        with self._lock:
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1
        try:
            return self._run(inputs)
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self.seconds += time.perf_counter() - self._since


def mentions(record: Mapping[str, Any]) -> tuple[Mention, ...]:
    """Return the entities of a record."""
    return tuple(Mention(own["start"], own["end"], own["label"]) for own in record["entities"])


def paired(given: Iterable[tuple[str, tuple[Mention, ...]]], mask: TypeMask) -> Iterator[PairSentence]:
    """Yield the sentences that have a pair, with the pairs that some relation allows."""
    for text, own in given:
        found = pair_mentions(text, own, MAX_MENTIONS, mask.admits)
        if found.pairs:
            yield PairSentence(text, found.mentions, found.pairs)


def batches(sentences: Iterable[PairSentence]) -> Iterator[list[PairSentence]]:
    """Yield as many sentences at a time as zsre-extract encodes."""
    batch: list[PairSentence] = []
    pairs = 0
    for sentence in sentences:
        batch.append(sentence)
        pairs += len(sentence.pairs)
        if pairs >= BATCH_PAIRS or len(batch) == BATCH_SENTENCES:
            yield batch
            batch, pairs = [], 0
    if batch:
        yield batch


def types_of(batch: Iterable[PairSentence]) -> list[tuple[str | None, str | None]]:
    """Return the types of head and tail of every pair."""
    return [(own.mentions[head].type, own.mentions[tail].type) for own in batch for head, tail in own.pairs]


def ends_of(batch: Iterable[PairSentence]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return (P, 2): head and tail of every pair, numbered through the mentions of the batch."""
    ends: list[tuple[int, int]] = []
    base = 0
    for own in batch:
        ends.extend((base + head, base + tail) for head, tail in own.pairs)
        base += len(own.mentions)
    return np.asarray(ends, dtype=np.int64).reshape(-1, 2)


def arithmetic(engine: Engine, model: Path | None, sentences: list[PairSentence], mask: TypeMask) -> Counts:
    """Return what a pass has to compute: tokens, operations of the encoder, and of comparing pairs with relations."""
    metadata = session_metadata(open_session(model or shipped_model(), choose_device("cpu")))
    tokenizer = prepare_tokenizer(Tokenizer.from_str(metadata[TOKENIZER_KEY]))
    lengths = [len(row.ids) for row in token_rows(sentences, tokenizer, engine.contract.tokens).rows]
    comparisons = sum(int(mask.row(*types).sum()) for types in types_of(sentences))
    return {
        "tokens": sum(lengths),
        "flops": find_encoder(engine.contract.encoder).rows_flops(lengths),
        "score_flops": score_flops(engine.contract.dimension, comparisons),
    }


def onnxruntime_version() -> str:
    """Return the version of ONNX Runtime, whichever of its packages is installed."""
    for package in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


if __name__ == "__main__":
    serve(prepare)
