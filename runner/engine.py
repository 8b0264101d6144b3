"""Scoring with exported models: sentences and relations in, vectors out, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from zsre.relations.contract import (
    ADAPTED,
    BLOCKS,
    RELATIONS_ROLE,
    SENTENCES_ROLE,
    TOKENIZER_KEY,
    Contract,
    read_contract,
)
from zsre.relations.errors import ModelError
from zsre.relations.places import looked_at
from zsre.relations.relation import RelationSet
from zsre.relations.relation_texts import relation_texts
from zsre.relations.tokens import (
    EncoderInputs,
    TokenRow,
    TokenRows,
    WidthSteps,
    encoded,
    encoder_inputs,
    padded_width,
    prepare_tokenizer,
    read_tokenizer,
    token_rows,
)
from zsre.relations.vectors import PairSentence, PairVectors, scale_blocks
from zsre.runner.graph import Feeds, Graph
from zsre.runner.session import Device, choose_device, open_session, processors, session_metadata

#: Tokens in a batch. Small batches stay in a processor's cache; a GPU wants large ones.
CPU_TOKENS, CUDA_TOKENS = 512, 8192
#: A GPU wants few distinct shapes. To a CPU padding is work, but few long rows have as many tokens as another, and one
#: that finds no other is encoded beside a copy of itself, which is more work.
CPU_WIDTHS: Final[WidthSteps] = ((0, 1), (48, 4), (64, 8))
CUDA_WIDTHS: Final[WidthSteps] = ((0, 4),)
RELATION_BATCH = 64
Given = TypeVar("Given")
Made = TypeVar("Made")
#: By its role, what a file takes and gives.
_SIGNATURES: Final = {
    SENTENCES_ROLE: (EncoderInputs.__slots__, ("mention_vectors", "context_vectors")),
    RELATIONS_ROLE: (("input_ids", "attention_mask"), ("vectors",)),
}


@dataclass(frozen=True, slots=True)
class Half:
    """One file of a model: the graph and the tokenizer that makes its input."""

    graph: Graph
    tokenizer: Tokenizer


class Workers:
    """Threads that each work on a batch of their own, so that no result depends on how many there are."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="zsre-encode")

    def map(self, work: Callable[[Given], Made], items: Iterable[Given]) -> list[Made]:
        """Return what each item gives, in their order; what one raises is raised, and the others are dropped."""
        return list(self._pool.map(work, items))

    def begin(self, work: Callable[[Given], Made], items: Iterable[Given]) -> list[Future[Made]]:
        """Return what each item is going to give, after all that was begun before."""
        return [self._pool.submit(work, item) for item in items]


class RelationEngine:
    """The relation half of a model; use `load_relation_engine` to make one."""

    def __init__(self, contract: Contract, relations: Half, workers: Workers) -> None:
        self.contract = contract
        self.device = relations.graph.device
        self._relations = relations.graph
        self._workers = workers
        # Keeps the truncation that it was exported with: a description may be longer than the encoder reads.
        self._relation_tokenizer = relations.tokenizer
        self._relation_tokenizer.encode_special_tokens = True
        self._adapts = BLOCKS in relations.graph.inputs

    def relation_vectors(self, relations: RelationSet) -> NDArray[np.float32]:
        """Return the scaled blocks (R, 3, D) of relations: head, tail, context."""
        texts = [relation_texts(relation) for relation in relations]
        flat = [each for text in texts for each in (text.head, text.tail, text.description)]
        unique = list(dict.fromkeys(flat))
        vectors = dict(zip(unique, self._encode_texts(unique), strict=True))
        blocks = np.stack([vectors[text] for text in flat]).reshape(len(texts), 3, -1)
        if self._adapts:
            blocks = self._adapted(blocks)
        return scale_blocks(blocks[:, 0], blocks[:, 1], blocks[:, 2], self.contract.alpha)

    def _encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts with others of the same length alone, never one alone: their vectors must not depend on others.

        See `Engine._batches`; vectors that were kept meet relations in other files.
        """
        encodings = encoded(self._relation_tokenizer, texts)
        dimension = self.contract.dimension
        vectors = np.empty((len(texts), dimension), dtype=np.float32)
        nothing = {BLOCKS: np.empty((0, 3, dimension), dtype=np.float32)} if self._adapts else {}

        def length(index: int) -> int:
            return len(encodings[index].ids)

        def encode(batch: list[int]) -> None:
            input_ids = np.asarray([encodings[index].ids for index in batch], dtype=np.int64)
            feeds: Feeds = {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids), **nothing}
            vectors[batch] = self._relations.run(feeds, {"vectors": (len(batch), dimension)})[0]

        batches = []
        for _, group in groupby(sorted(range(len(texts)), key=length), key=length):
            alike = list(group)
            for begin in range(0, len(alike), RELATION_BATCH):
                chosen = alike[begin : begin + RELATION_BATCH]
                batches.append(chosen if len(chosen) > 1 else chosen * 2)
        self._workers.map(encode, batches)
        return vectors

    def _adapted(self, blocks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the blocks (R, 3, D) that the model compares, given those of the texts; always as many at a time."""
        token, adapted = np.ones((1, 1), dtype=np.int64), np.empty_like(blocks)
        for begin in range(0, len(blocks), RELATION_BATCH):
            batch = blocks[begin : begin + RELATION_BATCH]
            full = np.resize(batch, (RELATION_BATCH, *batch.shape[1:]))
            feeds = {"input_ids": np.zeros_like(token), "attention_mask": token, BLOCKS: full}
            found = self._relations.run(feeds, {ADAPTED: full.shape})[0]
            adapted[begin : begin + RELATION_BATCH] = found[: len(batch)]
        return adapted


#: Mention vectors (M, D), context vectors (P, D) and the rows of mentions that are pairs (P, 2).
_EncodedRows = tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.int64]]


class EngineEncoding:
    """Sentences whose batches are being encoded, or wait for it."""

    def __init__(
        self,
        found: TokenRows,
        batches: Sequence[Sequence[TokenRow]],
        made: Sequence[Future[_EncodedRows]],
        dimension: int,
    ) -> None:
        self._found, self._batches, self._made, self._dimension = found, batches, made, dimension

    def done(self) -> bool:
        """Tell whether all batches are encoded."""
        return all(future.done() for future in self._made)

    def result(self) -> PairVectors:
        """Wait for all batches and return the vectors, in the order of the pairs."""
        mentions = [np.empty((0, self._dimension), dtype=np.float16)]
        contexts = [np.empty((0, self._dimension), dtype=np.float16)]
        pairs = [np.empty((0, 2), dtype=np.int64)]
        positions: list[int] = []
        base = 0
        for rows, future in zip(self._batches, self._made, strict=True):
            batch_mentions, batch_contexts, batch_pairs = future.result()
            mentions.append(batch_mentions)
            contexts.append(batch_contexts)
            pairs.append(batch_pairs + base)
            base += len(batch_mentions)
            positions.extend(position for row in rows for position in row.pair_positions)
        kept = np.asarray(positions, dtype=np.int64)
        ascending = np.argsort(kept, kind="stable")
        return PairVectors(
            mentions=np.concatenate(mentions),
            contexts=np.concatenate(contexts)[ascending],
            pairs=np.concatenate(pairs)[ascending],
            kept=kept[ascending],
            too_long=self._found.too_long,
            no_tokens=self._found.no_tokens,
            cut_sentences=self._found.cut_sentences,
        )

    def cancel(self) -> None:
        """Let batches be that aren't begun."""
        for future in self._made:
            future.cancel()


class Engine(RelationEngine):
    """A pair of exported files, ready to encode; use `load_engine` to make one."""

    def __init__(self, contract: Contract, sentences: Half, relations: Half, workers: Workers) -> None:
        super().__init__(contract, relations, workers)
        self.device = sentences.graph.device
        self._sentences = sentences.graph
        self._tokenizer = prepare_tokenizer(sentences.tokenizer)
        on_gpu = self.device == "CUDA"
        self._batch_tokens, self._widths = (CUDA_TOKENS, CUDA_WIDTHS) if on_gpu else (CPU_TOKENS, CPU_WIDTHS)

    def encode(self, sentences: Sequence[PairSentence]) -> PairVectors:
        """Encode all pairs of the sentences; each row of tokens is encoded once, with rows as long."""
        encoding = self.begin(sentences)
        try:
            return encoding.result()
        finally:
            encoding.cancel()

    def begin(self, sentences: Sequence[PairSentence]) -> EngineEncoding:
        """Begin to `encode` sentences, after all that was begun before."""
        found = token_rows(sentences, self._tokenizer, self.contract.tokens)
        # The largest first: what the last of them leaves threads to wait for is small.
        batches = sorted(self._batches(found.rows), key=lambda rows: -sum(len(row.ids) for row in rows))
        return EngineEncoding(found, batches, self._workers.begin(self._encode_rows, batches), self.contract.dimension)

    def _encode_rows(self, rows: Sequence[TokenRow]) -> _EncodedRows:
        settings = self.contract.tokens
        inputs = encoder_inputs(rows, settings.pad_id, self._widths, settings.max_tokens)
        mentions, contexts = self.run_graph(inputs)
        return mentions.astype(np.float16), contexts.astype(np.float16), inputs.pairs

    def run_graph(self, inputs: EncoderInputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the sentence graph once: mention vectors (M, D) and context vectors (P, D) in full precision."""
        feeds = {name: getattr(inputs, name) for name in inputs.__slots__}
        width = self.contract.dimension
        shapes = {"mention_vectors": (len(inputs.mentions), width), "context_vectors": (len(inputs.pairs), width)}
        mentions, contexts = self._sentences.run(feeds, shapes)
        return mentions, contexts

    def _batches(self, rows: Sequence[TokenRow]) -> Iterator[list[TokenRow]]:
        """Yield rows of one padded width at a time, shortest first, never one alone.

        Then what a CPU makes of a row doesn't depend, to the last bit, on which others it came with: a width of its own
        or a batch of one would have its sums added up in another order.
        """
        settings = self.contract.tokens

        def width(row: TokenRow) -> int:
            return padded_width(len(row.ids), self._widths, settings.max_tokens)

        for padded, group in groupby(sorted(rows, key=width), key=width):
            most = max(2, self._batch_tokens // padded)
            alike = list(group)
            for begin in range(0, len(alike), most):
                batch = alike[begin : begin + most]
                yield batch if len(batch) > 1 else [*batch, replace(batch[0], mentions=(), pairs=(), pair_positions=())]


def load_engine(model: Path | None, device: str = "auto", threads: int | None = None) -> Engine:
    """Open an exported model, or the one that ships if ``model`` is None.

    ``device`` is ``auto``, ``cpu`` or ``cuda``. Raises ModelError for a file that is missing, damaged, not
    ours, of another contract version, or whose other half is missing or belongs to another model.
    """
    path = model or shipped_model()
    chosen = choose_device(device)
    sentences, contract = _open_half(path, SENTENCES_ROLE, chosen)
    relations, other = _open_relations(path, chosen)
    if other.fingerprint != contract.fingerprint:
        beside = relations_path(path)
        raise ModelError(f"{beside}: belongs to another model than {path.name}; copy the two files of one export")
    return Engine(contract, sentences, relations, _workers(sentences.graph, threads))


def load_relation_engine(model: Path | None, device: str = "auto", threads: int | None = None) -> RelationEngine:
    """Open the relation half of an exported model alone, with the same errors as `load_engine`."""
    chosen = choose_device(device)
    relations, contract = _open_relations(model or shipped_model(), chosen)
    return RelationEngine(contract, relations, _workers(relations.graph, threads))


def _workers(graph: Graph, threads: int | None) -> Workers:
    """Return a thread for each processor; to a GPU, one batch after another goes."""
    return Workers(1 if graph.device == "CUDA" else threads or processors())


def _open_relations(model: Path, device: Device) -> tuple[Half, Contract]:
    beside = relations_path(model)
    with looked_at(beside, ModelError):
        if not beside.is_file():
            raise ModelError(f"{model}: {beside.name} is missing beside it; a model is both files, so copy both")
    return _open_half(beside, RELATIONS_ROLE, device)


def relations_path(model: Path) -> Path:
    """Return where the relation half of a model lies: ``model.relations.onnx`` beside ``model.onnx``."""
    return model.with_name(model.stem + ".relations.onnx")


def shipped_model() -> Path:
    """Return the path of the model that comes with the package."""
    return Path(str(resources.files("zsre.runner").joinpath("model", "model.onnx")))


def _open_half(path: Path, role: str, device: Device) -> tuple[Half, Contract]:
    session = open_session(path, device)
    metadata = session_metadata(session)
    contract = read_contract(metadata, role, str(path))
    graph = Graph(session, str(path))
    graph.check(*_SIGNATURES[role], optional=((BLOCKS, ADAPTED),) if role == RELATIONS_ROLE else ())
    return Half(graph, read_tokenizer(metadata.get(TOKENIZER_KEY, ""), str(path))), contract
