"""What is measured against what, and what is to be reached: one row of the results each."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.corpora import DENSE, GIVEN, LONG, MANY, MANY_TYPED, SENTENCES, TEN, TEXT, THOUSAND, THOUSAND_TYPED
from benchmarks.plan import FP32, Command, Figure, Row, Target, Worker


def given(title: str, corpus: str, items: int, relations: str = TEN, stage: str = "decide") -> Worker:
    """Return zsre on sentences with given entities."""
    options = {"corpus": corpus, "items": items, "relations": relations, "stage": stage, "seconds": 5}
    return Worker(title, "zsre_given", options)


def on_gpu(title: str, module: str, corpus: str) -> Worker:
    """Return a party on sentences with given entities that computes on a GPU."""
    job = {"corpus": corpus, "items": 100_000, "relations": TEN, "stage": "decide", "seconds": 20, "device": "cuda"}
    return Worker(title, module, job)


def competitor(title: str, module: str, **options: Any) -> Worker:
    """Return a party of the competitors' environment."""
    return Worker(title, module, {"relations": TEN, "seconds": 0, **options}, zsre=False)


def marked(corpus: str, items: int) -> Worker:
    """Return the pairing with markers."""
    return competitor("markers, PyTorch", "marked", corpus=corpus, items=items)


def text(processes: int) -> Worker:
    """Return zsre from text to Parquet."""
    options = {"corpus": TEXT, "items": DOCUMENTS, "relations": "wikidata", "processes": processes, "seconds": 0}
    return Worker(f"zsre, {_processes(processes)}", "zsre_text", options)


def spacy(processes: int) -> Worker:
    """Return spaCy on the same documents; it comes from zsre's environment, so that it is the same one."""
    options = {"corpus": TEXT, "items": DOCUMENTS, "processes": processes, "seconds": 0}
    return Worker(f"spaCy, {_processes(processes)}", "spacy_alone", options)


def matmul(library: str) -> Worker:
    """Return the machine's matrix product by a library."""
    return Worker(f"float32 product, {library}", "matmul", {"library": library, "seconds": 0})


def extraction(title: str, *arguments: str, before: tuple[str, ...] = (), **more: Any) -> Command:
    """Return a whole zsre-extract on two threads of a CPU."""
    return Command(title, _extract(*arguments, "-o", "{out}"), before=before, **more)


def against_ten(name: str, relations: str, what: str, target: Target | None) -> Row:
    """Return a row of how speed falls with the number of relations."""
    return Row(
        name=name,
        against="10 relations",
        inside=f"{what}; Re-DocRED's sentences with their entities given, sentences a second",
        figure=Figure("sentences", "sentences/s"),
        subjects=(given(what, GIVEN, 2_000, relations),),
        baselines=(given("10 relations", GIVEN, 2_000, TEN),),
        targets={} if target is None else {FP32: target},
        predicted=True,
    )


def _extract(*arguments: str) -> tuple[str, ...]:
    return (*arguments, "--device", "cpu", "--threads", "2", "--quiet")


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"


#: Documents that spaCy and zsre read in a turn.
DOCUMENTS: Final = 400
#: Relations of whole commands, in the repository's words.
EXAMPLE: Final = ("examples/corpus.jsonl", "--relations", "examples/relations.yaml")
GRAPH: Final = Figure("flops", "GFLOP/s", clock="own_seconds", baseline_clock="own_seconds")
PRODUCTS: Final = (matmul("numpy"), matmul("onnxruntime"))

ROWS: Final = (
    Row(
        name="marked",
        against="`marked` pairing with the same encoder, PyTorch and transformers, batches of 32 in the text's order",
        inside="entities given, Re-DocRED's sentences, the same ones for both: tokenising, encoding and 10 relations "
        "compared; pairs scored a second",
        figure=Figure("pairs", "pairs/s"),
        subjects=(given("zsre", GIVEN, 300),),
        baselines=(marked(GIVEN, 300),),
        same="pairs",
        targets={FP32: Target(least=15)},
    ),
    Row(
        name="marked-dense",
        against="`marked` pairing on dense text",
        inside="as `marked`, on text of Re-DocRED with ten entities given, 90 pairs; where a sentence has fewer, its "
        "neighbours join it",
        figure=Figure("pairs", "pairs/s"),
        subjects=(given("zsre", DENSE, 60),),
        baselines=(marked(DENSE, 60),),
        same="pairs",
        targets={FP32: Target(least=100)},
    ),
    Row(
        name="sentence-vectors",
        against="sentence-transformers, ONNX backend, one vector a sentence by the same encoder",
        inside="entities given, Re-DocRED's sentences that have a pair, all of them encoded by both; zsre also pairs "
        "mentions and compares all pairs with 10 relations; sentences a second",
        figure=Figure("sentences", "sentences/s"),
        subjects=(given("zsre", GIVEN, 2_000),),
        baselines=(
            competitor("sentence-transformers", "sentence_vectors", corpus=GIVEN, items=2_000, seconds=5),
        ),
        targets={FP32: Target(least=1.0)},
    ),
    Row(
        name="glirel",
        against="GLiREL's large model (DeBERTa-v3-large), PyTorch, batches of 8; random weights, so speed alone",
        inside="entities given, 10 relations, Re-DocRED's sentences; GLiREL reads 64 drawn evenly by length from the "
        "2,000 that zsre reads; a word is one token to it, a little fewer than its own tokenizer, which can't be had "
        "offline, would make; sentences a second",
        figure=Figure("sentences", "sentences/s"),
        subjects=(given("zsre", GIVEN, 2_000),),
        baselines=(
            competitor("GLiREL", "glirel_large", corpus=GIVEN, items=64, of=2_000),
        ),
        targets={FP32: Target(least=80)},
    ),
    Row(
        name="spacy",
        against="spaCy alone: tok2vec, senter and ner, the components that zsre uses",
        inside="text to Parquet with the whole catalogue against text to sentences and entities; documents of "
        "Re-DocRED, and of ten sentences of FewRel or Wiki-ZSL; the better of one and two processes on either side, "
        "loading left out; documents a second",
        figure=Figure("documents", "documents/s"),
        subjects=(text(1), text(2)),
        baselines=(spacy(1), spacy(2)),
        targets={FP32: Target(least=0.38), "best": Target(least=0.45)},
    ),
    Row(
        name="flops",
        against="the machine's own float32 matrix product, best of sizes, numpy or ONNX Runtime",
        inside="the encoder's operations over real tokens, padding left out, divided by all the time that pairing, "
        "tokenising and encoding take; Re-DocRED's sentences",
        figure=Figure("flops", "GFLOP/s", baseline_clock="own_seconds"),
        subjects=(given("zsre, pairing to vectors", GIVEN, 2_000, stage="encode"),),
        baselines=PRODUCTS,
        targets={FP32: Target(least=0.83)},
    ),
    Row(
        name="flops-graph",
        against="the machine's matrix product, by the graph alone",
        inside="as `flops`, divided by the time that ONNX Runtime runs the graph",
        figure=GRAPH,
        subjects=(given("zsre, the graph", GIVEN, 2_000, stage="encode"),),
        baselines=PRODUCTS,
    ),
    Row(
        name="flops-long",
        against="the machine's matrix product, on long text",
        inside="as `flops`, on sentences of 100 to 400 tokens, joined from neighbours",
        figure=Figure("flops", "GFLOP/s", baseline_clock="own_seconds"),
        subjects=(given("zsre, pairing to vectors", LONG, 80, stage="encode"),),
        baselines=PRODUCTS,
    ),
    against_ten("relations-1000", THOUSAND, "1,000 relations without types", Target(least=0.95)),
    against_ten("relations-1000-typed", THOUSAND_TYPED, "1,000 relations with types", None),
    against_ten("relations-10000-typed", MANY_TYPED, "10,000 relations with types", Target(least=0.90)),
    against_ten("relations-10000", MANY, "10,000 relations without types", None),
    Row(
        name="kept",
        against="extracting from text",
        inside="other relations over kept vectors against the same relations from the text, whole commands, loading "
        "included: `zsre-extract text.jsonl --relations examples/relations.yaml` over `zsre-extract KEPT` with the "
        "same, KEPT being what `--save-pairs` kept of the text with ten relations without types",
        figure=Figure("seconds", "s", clock=None, baseline_clock=None, less_is_better=True),
        subjects=(extraction("from kept vectors", "{kept}", "--relations", "examples/relations.yaml"),),
        baselines=(
            extraction(
                "from text", f"{{data}}/{TEXT}", "--relations", "examples/relations.yaml",
                before=_extract(f"{{data}}/{TEXT}", "--relations", f"{{data}}/{TEN}", "--save-pairs", "{kept}",
                                "-o", "{out}"),
            ),
        ),
        targets={FP32: Target(least=100)},
        rounds=3,
        inverse=True,
        same="triples",
    ),
    Row(
        name="memory",
        against="1,000 documents",
        inside="the most memory that the process and its children hold, whole commands, 100,000 documents of one "
        "sentence over the first 1,000 of them, the whole catalogue",
        figure=Figure("peak_mb", "MB", clock=None, baseline_clock=None, less_is_better=True),
        subjects=(
            extraction("100,000 documents", f"{{data}}/{SENTENCES}", "--relations", "wikidata", limit=100_000),
        ),
        baselines=(extraction("1,000 documents", f"{{data}}/{SENTENCES}", "--relations", "wikidata", limit=1_000),),
        targets={FP32: Target(most=1.10)},
        rounds=1,
    ),
    Row(
        name="start",
        against="–",
        inside="seconds from the start of `zsre-extract` on the example corpus to its first part, loading included",
        figure=Figure("seconds", "s", clock=None, less_is_better=True),
        subjects=(extraction("zsre", *EXAMPLE, until_part=True),),
        targets={FP32: Target(most=5)},
    ),
    Row(
        name="gpu",
        against="zsre with PyTorch in the place of its graph: the encoder in bfloat16, the same batches",
        inside="on a GPU, entities given, Re-DocRED's sentences: pairing, tokenising, encoding and 10 relations "
        "compared; sentences a second",
        figure=Figure("sentences", "sentences/s"),
        subjects=(on_gpu("zsre", "zsre_given", GIVEN),),
        baselines=(on_gpu("PyTorch", "zsre_torch", GIVEN),),
        same="pairs",
        gpu=True,
    ),
    Row(
        name="gpu-dense",
        against="the same, on dense text",
        inside="as `gpu`, on the text of `marked-dense`; pairs scored a second",
        figure=Figure("pairs", "pairs/s"),
        subjects=(on_gpu("zsre", "zsre_given", DENSE),),
        baselines=(on_gpu("PyTorch", "zsre_torch", DENSE),),
        same="pairs",
        gpu=True,
    ),
    Row(
        name="gpu-use",
        against="–",
        inside="as `gpu`: the share of the time in which the GPU computes, as its driver tells it; else it waits",
        figure=Figure("gpu_use", "%", clock=None),
        subjects=(on_gpu("zsre", "zsre_given", GIVEN),),
        gpu=True,
    ),
)  # fmt: skip
