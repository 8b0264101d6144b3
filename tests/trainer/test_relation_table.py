from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel

from tests.trainer import paper
from zsre.relations.errors import ModelError
from zsre.relations.relation import Argument, Relation, without_ends, without_terms
from zsre.relations.relation_texts import relation_texts
from zsre.trainer.config import TextConfig
from zsre.trainer.relation_table import (
    RelationEncoder,
    RelationTable,
    build_table,
    check_widths,
    mean_blocks,
)

ALPHA = 0.3
SAMPLE = TextConfig(phrasings="sample")
BORN = Relation("P19", "born", "the city where the person was born", Argument(("PERSON",)), Argument(terms=("city",)))
BORN_AGAIN = Relation("P19", "home", "the place this person is from", Argument(terms=("person",)), Argument(("GPE",)))
AUTHOR = Relation("P50", "author", "the person who wrote the novel", Argument(), Argument(("PERSON",)))


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> RelationEncoder:
    return RelationEncoder(str(tiny_encoder))


def _table(encoder: RelationEncoder, *phrasings: list[Relation]) -> RelationTable:
    ids = [each[0].id for each in phrasings]
    return build_table(ids, phrasings, encoder, ALPHA, torch.device("cpu"))


def test_texts_become_the_mean_of_their_token_states(encoder: RelationEncoder) -> None:
    """Eqs. 5–7, whatever the texts that are encoded beside."""
    texts = ["the city", "the person who was born in the old city near the river"]

    both = encoder.vectors(texts)

    transformer = encoder.model[0].auto_model
    for text, vector in zip(texts, both, strict=True):
        with torch.no_grad():
            states = transformer(**encoder.model.tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(vector, paper.sentence_vector(states.double().numpy()), atol=1e-5)


def test_a_special_token_in_a_text_is_plain_text(encoder: RelationEncoder) -> None:
    tokenizer = encoder.model.tokenizer
    ids = tokenizer("the [SEP] city")["input_ids"]
    assert ids.count(tokenizer.sep_token_id) == 1
    np.testing.assert_array_equal(ids, tokenizer("the [sep] city")["input_ids"])


def test_a_text_is_encoded_once(encoder: RelationEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    encode = encoder.model.encode

    def counted(texts: list[str], **options: object) -> object:
        asked.append(list(texts))
        return encode(texts, **options)

    monkeypatch.setattr(encoder.model, "encode", counted)
    encoder.vectors(["river", "bridge", "river"])
    again = encoder.vectors(["bridge", "novel", "river"])
    assert asked == [["river", "bridge"], ["novel"]]
    assert again.shape == (3, encoder.width)


def test_blocks_are_head_tail_and_description_scaled(encoder: RelationEncoder) -> None:
    blocks = encoder.blocks([BORN, AUTHOR], ALPHA)
    for row, relation in zip(blocks, (BORN, AUTHOR), strict=True):
        texts = relation_texts(relation)
        vectors = encoder.vectors([texts.head, texts.tail, texts.description])
        scales = np.sqrt([ALPHA, ALPHA, 1 - 2 * ALPHA])
        np.testing.assert_allclose(row, vectors * scales[:, None], atol=1e-6)


def test_the_mean_of_phrasings_is_as_long_as_each(encoder: RelationEncoder) -> None:
    table = _table(encoder, [BORN, BORN_AGAIN], [AUTHOR])

    mean = table.mean()

    assert table.phrasings.shape == (3, 2, 2, 3, encoder.width)
    expected = torch.tensor([math.sqrt(ALPHA), math.sqrt(ALPHA), math.sqrt(1 - 2 * ALPHA)])
    torch.testing.assert_close(mean.norm(dim=-1), expected.expand(2, 3))
    one, other = (torch.from_numpy(encoder.blocks([each], ALPHA)[0]) for each in (BORN, BORN_AGAIN))
    torch.testing.assert_close(torch.cosine_similarity(mean[0], one + other, dim=-1), torch.ones(3))
    # A relation with one phrasing is that phrasing.
    torch.testing.assert_close(mean[1], torch.from_numpy(encoder.blocks([AUTHOR], ALPHA)[0]))
    np.testing.assert_allclose(mean_blocks([[BORN, BORN_AGAIN], [AUTHOR]], encoder, ALPHA), mean.numpy())


def test_training_draws_a_phrasing_of_each_relation(encoder: RelationEncoder) -> None:
    table = _table(encoder, [BORN, BORN_AGAIN], [AUTHOR])
    one, other, author = (torch.from_numpy(encoder.blocks([each], ALPHA)[0]) for each in (BORN, BORN_AGAIN, AUTHOR))
    torch.manual_seed(0)
    draws = [table.sample(SAMPLE) for _ in range(200)]
    share = np.mean([torch.equal(draw[0], one) for draw in draws])
    assert 0.35 < share < 0.65
    assert all(torch.equal(draw[0], one) or torch.equal(draw[0], other) for draw in draws)
    assert all(torch.equal(draw[1], author) for draw in draws)
    torch.manual_seed(0)
    assert torch.equal(table.sample(SAMPLE), draws[0])


def test_each_phrasing_counts_as_often_however_many_other_relations_have(encoder: RelationEncoder) -> None:
    """Two phrasings beside three of another relation: repeated to three, the first would count twice."""
    third = replace(AUTHOR, description="who has written a text")
    table = _table(encoder, [BORN, BORN_AGAIN], [AUTHOR, BORN, third])
    one, other = (torch.from_numpy(encoder.blocks([each], ALPHA)[0]) for each in (BORN, BORN_AGAIN))
    torch.testing.assert_close(torch.cosine_similarity(table.mean()[0], one + other, dim=-1), torch.ones(3))
    torch.manual_seed(0)
    draws = [table.sample(SAMPLE) for _ in range(600)]
    assert 0.44 < np.mean([torch.equal(draw[0], one) for draw in draws]) < 0.56
    for phrasing in encoder.blocks([AUTHOR, BORN, third], ALPHA):
        share = np.mean([torch.equal(draw[1], torch.from_numpy(phrasing)) for draw in draws])
        assert 0.27 < share < 0.4


def test_a_share_of_draws_goes_without_terms_and_half_of_it_without_types(encoder: RelationEncoder) -> None:
    table = _table(encoder, [BORN], [AUTHOR])
    versions = [BORN, without_terms(BORN), without_ends(BORN)]
    kinds = torch.from_numpy(encoder.blocks(versions, ALPHA))
    torch.manual_seed(0)
    drawn = [table.sample(replace(SAMPLE, drop_terms=0.4))[0] for _ in range(400)]
    shares = [np.mean([torch.equal(each, kind) for each in drawn]) for kind in kinds]
    np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=0.08)
    assert sum(shares) == 1


def test_mixed_phrasings_have_each_part_from_any(encoder: RelationEncoder) -> None:
    # All three texts differ from BORN's.
    again = replace(BORN_AGAIN, head=Argument(terms=("singer",)))
    table = _table(encoder, [BORN, again], [AUTHOR])
    both = torch.from_numpy(encoder.blocks([BORN, again], ALPHA))
    torch.manual_seed(0)
    mixed = replace(SAMPLE, phrasings="mix")
    drawn = [table.sample(mixed)[0] for _ in range(300)]
    parts = [tuple(bool(torch.equal(each[block], both[1, block])) for block in range(3)) for each in drawn]
    assert Counter(parts).keys() == set(itertools.product((False, True), repeat=3))
    bare = torch.from_numpy(encoder.blocks([without_ends(BORN)], ALPHA)[0])
    ends = [table.sample(replace(mixed, drop_terms=0.5))[0, :2] for _ in range(300)]
    assert {(torch.equal(head, bare[0]), torch.equal(tail, bare[1])) for head, tail in ends} == {
        *itertools.product((False, True), repeat=2)
    }


def test_noise_turns_each_text_and_keeps_its_length(encoder: RelationEncoder) -> None:
    table = _table(encoder, [BORN], [AUTHOR])
    torch.manual_seed(0)
    noisy = torch.stack([table.sample(replace(SAMPLE, noise=0.5)) for _ in range(200)])
    torch.testing.assert_close(noisy.norm(dim=-1), table.mean().norm(dim=-1).expand(200, 2, 3))
    # A text of length 1 and noise of length 0.5 at a right angle.
    cosines = torch.cosine_similarity(noisy, table.mean().expand_as(noisy), dim=-1)
    assert 0.85 < cosines.mean() < 0.95
    assert cosines.std() > 0.01, "each by another vector"


def test_what_ends_are_described_by() -> None:
    typed, bare = without_terms(AUTHOR), without_ends(AUTHOR)
    assert {relation_texts(each).description for each in (AUTHOR, typed, bare)} == {relation_texts(AUTHOR).description}
    assert relation_texts(typed).head == "the entity types including thing"
    assert relation_texts(typed).tail == "the entity types including person"
    assert relation_texts(bare).head == relation_texts(bare).tail == "the entity types including thing"


def test_encoders_of_different_width_are_refused(encoder: RelationEncoder) -> None:
    check_widths(32, encoder)
    with pytest.raises(ModelError, match=r"the sentence encoder is 768 wide, the relation encoder .* 32: .*choose two"):
        check_widths(768, encoder)


def test_an_encoder_that_pools_otherwise_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    transformer = Transformer(str(tiny_encoder))
    SentenceTransformer(modules=[transformer, Pooling(32, "cls")]).save(str(tmp_path / "cls"))
    with pytest.raises(
        ModelError, match=r"relation encoder .*cls.*\('cls' pooling\); choose a Sentence-BERT with mean"
    ):
        RelationEncoder(str(tmp_path / "cls"))


def test_an_encoder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"relation encoder .*nowhere' cannot be loaded"):
        RelationEncoder(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"relation encoder .*empty' cannot be loaded"):
        RelationEncoder(str(tmp_path / "empty"))
    with pytest.raises(ModelError, match="the package 'no_such_package' is not installed"):
        RelationEncoder("package:no_such_package/model")


def test_an_encoder_that_is_stored_in_half_precision_is_one_in_full(half_encoder: Path) -> None:
    model = RelationEncoder(str(half_encoder)).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_wider_encoder_knows_its_width(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    SentenceTransformer(str(tiny_encoder)).tokenizer.save_pretrained(str(folder))
    config = BertConfig.from_pretrained(tiny_encoder)
    config.hidden_size, config.num_hidden_layers = 48, 1
    BertModel(config).save_pretrained(folder)
    assert RelationEncoder(str(folder)).width == 48
