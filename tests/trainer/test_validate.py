from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zsre.relations.errors import DataError
from zsre.relations.examples import Mention
from zsre.relations.vectors import PairSentence
from zsre.trainer import validate as validating
from zsre.trainer.trained_run import TrainedRun, load_run
from zsre.trainer.validate import encode_pairs, validate

LONG = "the bridge ada crosses the river bo . " * 3
#: Out of order of length; the second has a pair that no window holds, the third a mention without a token.
SENTENCES = [
    PairSentence(LONG, (Mention(11, 14), Mention(33, 35)), ((0, 1), (1, 0))),
    PairSentence("ada " + "old " * 70 + "bo", (Mention(0, 3), Mention(284, 286)), ((0, 1),)),
    PairSentence("ada sings \x00 .", (Mention(0, 3), Mention(10, 11)), ((0, 1),)),
    PairSentence("cleo lives in delta .", (Mention(0, 4), Mention(14, 19)), ((1, 0),)),
]


@pytest.fixture(scope="module", params=["marked", "shared"])
def run(request: pytest.FixtureRequest, tiny_runs: Callable[[str], Path]) -> TrainedRun:
    return load_run(tiny_runs(request.param))


def test_vectors_come_in_the_order_of_the_pairs(run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validating, "BATCH_ROWS", 2)

    together = encode_pairs(run.model, run.tokenizer, run.tokens, SENTENCES)

    assert together.kept.tolist() == [0, 1, 4]
    assert (together.too_long, together.no_tokens, together.cut_sentences) == (1, 1, 1)
    assert together.mentions.dtype == together.contexts.dtype == np.float16
    for pair, position in enumerate(together.kept):
        sentence, which = {0: (0, 0), 1: (0, 1), 4: (3, 0)}[int(position)]
        alone = PairSentence(
            SENTENCES[sentence].text, SENTENCES[sentence].mentions, (SENTENCES[sentence].pairs[which],)
        )
        expected = encode_pairs(run.model, run.tokenizer, run.tokens, [alone])
        np.testing.assert_allclose(together.contexts[pair], expected.contexts[0], atol=2e-3)
        for end in (0, 1):
            found = together.mentions[together.pairs[pair, end]]
            np.testing.assert_allclose(found, expected.mentions[expected.pairs[0, end]], atol=2e-3)


def test_no_sentence_gives_no_vector(run: TrainedRun) -> None:
    vectors = encode_pairs(run.model, run.tokenizer, run.tokens, [])
    assert vectors.mentions.shape == vectors.contexts.shape == (0, 32)
    assert vectors.pairs.shape == (0, 2) and len(vectors.kept) == 0


def test_validation_compares_the_most_similar_relation_with_the_stated_one(run: TrainedRun) -> None:
    similar = encode_pairs(run.model, run.tokenizer, run.tokens, [SENTENCES[3]])
    head, tail = (similar.mentions[similar.pairs[0, end]] for end in (0, 1))
    own = np.stack([head, tail, similar.contexts[0]]).astype(np.float32)
    relations = np.stack([-own, own, np.zeros_like(own)])

    # The pair that cannot be read has no part in the report.
    report = validate(
        run.model, run.tokenizer, run.tokens, ([SENTENCES[1], SENTENCES[3]], ["b", "c"]), ("a", "b", "c"), relations
    )

    assert dict(report.confusion) == {("c", "b"): 1}
    with pytest.raises(DataError, match="there is no labelled instance to measure"):
        validate(run.model, run.tokenizer, run.tokens, ([SENTENCES[1]], ["b"]), ("a", "b", "c"), relations)
