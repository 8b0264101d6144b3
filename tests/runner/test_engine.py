from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest
from numpy.typing import NDArray

from zsre.exporter.parity import SENTENCES as PARITY_SENTENCES
from zsre.exporter.parity import mark_up
from zsre.relations.catalogue import load_relations
from zsre.relations.errors import ModelError
from zsre.relations.examples import Mention
from zsre.relations.relation import Argument, Relation, RelationSet
from zsre.relations.tokens import EncoderInputs, padded_width
from zsre.relations.vectors import PairSentence, PairVectors
from zsre.runner import engine as engine_module
from zsre.runner.engine import Engine, load_engine

FEW = RelationSet((Relation("P1", "home", "lives in"), Relation("P2", "author", "wrote the novel")))


def sentence(text: str, *names: str) -> PairSentence:
    """Return a sentence with all pairs of the mentions named, which occur once each."""
    mentions = tuple(Mention(text.index(name), text.index(name) + len(name)) for name in names)
    return PairSentence(text, mentions, tuple(permutations(range(len(names)), 2)))


#: Not in the order of their lengths, and one without pairs.
SENTENCES = (
    sentence("the novel avalon was by ada the author and bo was near .", "avalon", "ada", "bo"),
    sentence("ada lives in brent .", "ada", "brent"),
    PairSentence("cleo sings .", (Mention(0, 4),), ()),
    sentence("dan was born in corin .", "dan", "corin"),
    sentence("the company delta of old erith was founded by eve , finn and gus .", "delta", "erith", "eve", "gus"),
    sentence("hal : ida", "hal", "ida"),
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Engine:
    return load_engine(tiny_model, "cpu")


def similarities(engine: Engine, sentences: Sequence[PairSentence]) -> NDArray[np.float32]:
    return engine.encode(sentences).similarities(engine.relation_vectors(FEW))


def with_budget(engine: Engine, tokens: int, monkeypatch: pytest.MonkeyPatch) -> list[EncoderInputs]:
    """Give the engine another number of tokens for a batch, and return the list that its batches are put in."""
    batches: list[EncoderInputs] = []
    run = engine.run_graph

    def watched(inputs: EncoderInputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        batches.append(inputs)
        return run(inputs)

    monkeypatch.setattr(engine, "_batch_tokens", tokens)
    monkeypatch.setattr(engine, "run_graph", watched)
    return batches


def check_shapes(vectors: PairVectors, mentions: int, pairs: int) -> None:
    assert vectors.mentions.shape == (mentions, 32)
    assert vectors.contexts.shape == (pairs, 32)
    assert (vectors.pairs.shape, vectors.kept.shape) == ((pairs, 2), (pairs,))
    assert (vectors.mentions.dtype, vectors.contexts.dtype) == (np.float16, np.float16)


@pytest.mark.parametrize("sentences", [[], [SENTENCES[2]], [PairSentence("", (), ())]])
def test_nothing_to_encode_gives_empty_vectors(engine: Engine, sentences: list[PairSentence]) -> None:
    vectors = engine.encode(sentences)
    check_shapes(vectors, 0, 0)
    assert vectors.similarities(engine.relation_vectors(FEW)).shape == (0, 2, 3)


def test_vectors_are_in_the_order_of_the_pairs(engine: Engine) -> None:
    vectors = engine.encode(SENTENCES)
    total = sum(len(each.pairs) for each in SENTENCES)
    check_shapes(vectors, sum(len(each.mentions) for each in SENTENCES if each.pairs), total)
    assert vectors.kept.tolist() == list(range(total))
    together = similarities(engine, SENTENCES)
    position = 0
    for each in SENTENCES:
        for pair in each.pairs:
            alone = similarities(engine, [PairSentence(each.text, each.mentions, (pair,))])
            assert together[position] == pytest.approx(alone[0], abs=1e-5)
            position += 1
    assert np.abs(together[:, None] - together[None]).sum((2, 3))[np.triu_indices(total, 1)].min() > 1e-4, "all differ"


def test_only_rows_of_one_width_share_a_batch_and_none_is_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_widths", ((0, 8),))
    # Two of the five with pairs are 8 tokens wide when padded, two 16 and one 24, which goes with a copy of itself.
    for tokens, most in ((1, 2), (100_000, 3)):
        batches = with_budget(engine, tokens, monkeypatch)
        engine.encode(SENTENCES)
        assert sum(len(np.unique(inputs.mentions[:, 0])) for inputs in batches) == 5, "one without pairs costs nothing"
        assert all(2 <= len(inputs.input_ids) <= most for inputs in batches)
        assert {inputs.input_ids.shape[1] for inputs in batches} == {8, 16, 24}


def test_a_longer_row_is_as_wide_or_wider() -> None:
    widths = [padded_width(length, engine_module.CPU_WIDTHS, 512) for length in range(1, 513)]
    assert widths == sorted(widths)
    assert all(length <= width < length + 8 for length, width in enumerate(widths, start=1))


def test_a_vector_is_the_same_to_the_last_bit_whatever_else_is_in_the_batch(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = engine.encode(SENTENCES * 9)
    for tokens in (1, 40, 100):
        with_budget(engine, tokens, monkeypatch)
        assert_same_pairs(engine.encode(SENTENCES * 9), together)
    alone = [engine.encode([each]) for each in SENTENCES * 9]
    few = [replace(each, pairs=each.pairs[::3]) for each in SENTENCES]
    position = 0
    for each, fewer, own in zip(SENTENCES * 9, few * 9, alone, strict=True):
        whole = slice(position, position + len(each.pairs))
        position = whole.stop
        np.testing.assert_array_equal(own.contexts, together.contexts[whole])
        np.testing.assert_array_equal(engine.encode([fewer]).contexts, own.contexts[::3])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_vector_depends_on_how_many_threads_there_are(
    tiny_model: Path, engine: Engine, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "CPU_TOKENS", 40)
    other = load_engine(tiny_model, "cpu", threads)
    assert_same_pairs(other.encode(SENTENCES * 9), engine.encode(SENTENCES * 9))
    catalogue = load_relations("wikidata")
    np.testing.assert_array_equal(other.relation_vectors(catalogue), engine.relation_vectors(catalogue))


def test_batches_are_encoded_side_by_side(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, meeting = load_engine(tiny_model, "cpu", 2), Barrier(2, timeout=60)
    run = engine.run_graph

    def met(inputs: EncoderInputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        meeting.wait()
        return run(inputs)

    monkeypatch.setattr(engine, "run_graph", met)
    monkeypatch.setattr(engine, "_batch_tokens", 1)
    engine.encode(SENTENCES[:1] * 4)


def test_encodings_may_be_under_way_side_by_side(engine: Engine) -> None:
    under_way = [engine.begin(SENTENCES[:3]), engine.begin([]), engine.begin(SENTENCES)]
    for encoding, sentences in reversed(list(zip(under_way, (SENTENCES[:3], [], SENTENCES), strict=True))):
        assert_same_pairs(encoding.result(), engine.encode(sentences))


def test_what_is_not_begun_of_an_encoding_can_be_dropped(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, entered, held = load_engine(tiny_model, "cpu", 1), Event(), Event()
    run, runs = engine.run_graph, []

    def waiting(inputs: EncoderInputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        runs.append(inputs)
        entered.set()
        assert held.wait(60)
        return run(inputs)

    monkeypatch.setattr(engine, "run_graph", waiting)
    monkeypatch.setattr(engine, "_batch_tokens", 1)
    encoding = engine.begin(SENTENCES * 9)
    assert entered.wait(60)
    encoding.cancel()
    held.set()
    with pytest.raises(CancelledError):
        encoding.result()
    engine.encode(SENTENCES[:1])
    assert len(runs) == 2


def test_what_fails_in_a_thread_is_raised(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(inputs: EncoderInputs) -> None:
        raise ModelError("model.onnx: the model failed")

    monkeypatch.setattr(engine, "run_graph", fail)
    with pytest.raises(ModelError, match="the model failed"):
        engine.encode(SENTENCES)


def test_a_relation_is_the_same_to_the_last_bit_alone_and_among_others(engine: Engine) -> None:
    catalogue = load_relations("wikidata")
    together = engine.relation_vectors(catalogue)
    for place in (0, 63, 64, len(catalogue) - 1):
        alone = engine.relation_vectors(RelationSet((catalogue.relations[place],)))
        np.testing.assert_array_equal(alone[0], together[place])


def assert_same_pairs(one: PairVectors, other: PairVectors) -> None:
    np.testing.assert_array_equal(one.contexts, other.contexts)
    np.testing.assert_array_equal(one.mentions[one.pairs], other.mentions[other.pairs])


def test_padding_changes_nothing_in_full_precision(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = with_budget(engine, 10_000, monkeypatch)
    engine.encode(SENTENCES[1:2])
    inputs = batches[0]
    padding = ((0, 2), (0, 20))
    wide = EncoderInputs(
        np.pad(inputs.input_ids, padding, constant_values=7),
        np.pad(inputs.attention_mask, padding),
        inputs.mentions,
        inputs.pairs,
    )
    wide.attention_mask[1:, :3] = 1
    for one, other in zip(engine.run_graph(inputs), engine.run_graph(wide), strict=True):
        assert other == pytest.approx(one, abs=1e-6)


def test_vectors_have_the_lengths_that_make_a_score(engine: Engine) -> None:
    vectors = engine.encode(SENTENCES)
    alpha = engine.contract.alpha
    assert np.linalg.norm(vectors.mentions.astype(np.float32), axis=1) == pytest.approx(alpha**0.5, abs=1e-3)
    assert np.linalg.norm(vectors.contexts.astype(np.float32), axis=1) == pytest.approx(
        (1 - 2 * alpha) ** 0.5, abs=1e-3
    )


def test_what_cannot_be_read_is_counted_and_the_rest_keeps_its_place(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = engine.contract.tokens.capacity
    long = sentence("ada " + "the " * room + "bo in avalon", "ada", "bo", "avalon")
    blank = PairSentence("\x00\x01 ada born", (Mention(0, 2), Mention(3, 6), Mention(7, 11)), ((0, 1), (1, 2)))
    batches = with_budget(engine, 2048, monkeypatch)
    vectors = engine.encode([long, SENTENCES[1], blank])
    assert (vectors.too_long, vectors.no_tokens, vectors.cut_sentences) == (4, 1, 1)
    assert vectors.kept.tolist() == [3, 5, 6, 7, 9], "between bo and avalon, both ways; then the others"
    most = engine.contract.tokens.max_tokens
    assert max(inputs.input_ids.shape[1] for inputs in batches) == most, "no wider than the encoder has positions"
    alone = similarities(engine, [SENTENCES[1]])
    assert similarities(engine, [long, SENTENCES[1], blank])[2:4] == pytest.approx(alone, abs=1e-5)


def test_sentences_are_encoded_as_in_torch(engine: Engine, tiny_runs: Callable[[str], Path]) -> None:
    from zsre.trainer.trained_run import load_run
    from zsre.trainer.validate import encode_pairs

    run = load_run(tiny_runs("shared"))
    expected = encode_pairs(run.model, run.tokenizer, run.tokens, SENTENCES)
    relations = engine.relation_vectors(FEW)
    assert engine.encode(SENTENCES).similarities(relations) == pytest.approx(expected.similarities(relations), abs=1e-4)


def test_relations_are_encoded_as_in_torch(engine: Engine, tiny_runs: Callable[[str], Path]) -> None:
    from zsre.trainer.trained_run import load_run

    run = load_run(tiny_runs("shared"))
    odd = (
        Relation("long", "the", "river " * 500),
        Relation("typed", "home", "lives in", Argument(("PERSON",)), Argument(("GPE",), ("city", "place"))),
    )
    relations = RelationSet((*odd, *load_relations("wikidata").relations[:60]))
    expected = run.relation_encoder().blocks(list(relations), run.config.model.alpha)
    found = engine.relation_vectors(relations)
    assert (found.shape, found.dtype) == ((62, 3, 32), np.float32)
    assert found == pytest.approx(expected, abs=1e-4)


def test_special_tokens_in_a_description_are_ordinary_text(engine: Engine) -> None:
    texts = ("lives [SEP] in", "lives [ sep ] in", "lives in")
    vectors = engine.relation_vectors(RelationSet(tuple(Relation(text, "home", text) for text in texts)))[:, 2]
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-6)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


def test_a_text_is_encoded_once_however_many_relations_share_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = engine._encode_texts

    def watched(texts: Sequence[str]) -> NDArray[np.float32]:
        encoded.extend(texts)
        return encode(texts)

    monkeypatch.setattr(engine, "_encode_texts", watched)
    engine.relation_vectors(FEW)
    assert len(encoded) == 3, "two descriptions, and one text for ends without types"


def test_the_contract_is_the_runs(engine: Engine) -> None:
    assert (engine.contract.name, engine.contract.pairing, engine.device) == ("shared", "shared", "CPU")
    assert engine.contract.seen_relations == ("author", "born", "crosses", "founder")


def test_the_model_that_ships_gives_the_same_bits_alone_and_among_others() -> None:
    shipped = load_engine(None, "cpu")
    # Those made longer are padded, by different numbers of tokens.
    sentences = [
        mark_up(text + rest) for rest in ("", " And so on" * 17, " And so on" * 18) for text in PARITY_SENTENCES
    ]
    together = shipped.encode(sentences * 3)
    position = 0
    for each in sentences:
        alone = shipped.encode([each])
        own = slice(position, position + len(each.pairs))
        position = own.stop
        np.testing.assert_array_equal(alone.contexts, together.contexts[own])
        np.testing.assert_array_equal(alone.mentions[alone.pairs], together.mentions[together.pairs[own]])
