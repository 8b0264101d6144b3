from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from tests.trainer import paper
from zsre.relations.vectors import scale_blocks
from zsre.trainer.losses import reverse_loss
from zsre.trainer.model import DistillerParts, ModelConfig, SentenceModel
from zsre.trainer.objective import pair_scores
from zsre.trainer.setup import count_parameters

WIDTH, RELATIONS = 16, 4
PARTS: tuple[DistillerParts, ...] = ("both", "projection", "gaussian", "none")
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
#: Rows of token ids, then mentions (row, start, end), then pairs of mentions.
ROWS = ([1, 5, 6, 7, 8, 9, 10, 11, 2], [1, 12, 13, 14, 15, 2], [1, 16, 17, 18, 19, 20, 21, 2])
MENTIONS = ([0, 2, 4], [0, 5, 6], [0, 7, 8], [1, 2, 3], [1, 4, 5], [2, 2, 5], [2, 6, 7])
PAIRS = ([0, 1], [1, 0], [2, 0], [3, 4], [6, 5])


def _model(config: ModelConfig = ModelConfig()) -> SentenceModel:  # noqa: B008
    torch.manual_seed(0)
    encoder = BertModel(
        BertConfig(
            vocab_size=30, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=40,
        )
    )  # fmt: skip
    model = SentenceModel(encoder, config, RELATIONS)
    for parameter in model.parameters():  # zeros, such as an untrained pooling, would agree with too much
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def _inputs(rows: tuple[int, ...] = (0, 1, 2), padding: int = 0) -> Inputs:
    """Some of the rows, padded to the longest of them and ``padding`` more."""
    width = max(len(ROWS[row]) for row in rows) + padding
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(ROWS[row])] = torch.tensor(ROWS[row])
        mask[place, : len(ROWS[row])] = 1
    chosen = [index for index, (row, _, _) in enumerate(MENTIONS) if row in rows]
    mentions = [[rows.index(MENTIONS[index][0]), *MENTIONS[index][1:]] for index in chosen]
    pairs = [[chosen.index(head), chosen.index(tail)] for head, tail in PAIRS if head in chosen]
    return ids, mask, torch.tensor(mentions), torch.tensor(pairs)


def _numpy(tensor: torch.Tensor) -> paper.Array:
    return tensor.detach().double().numpy()


def test_entities_are_pooled_by_weight_as_equations_2_and_3() -> None:
    model = _model()
    states = torch.randn(3, 9, WIDTH)
    assert model.pooling is not None
    hidden, bias = _numpy(model.pooling.hidden.weight), _numpy(model.pooling.hidden.bias)

    pooled = _numpy(model.entities(states, torch.tensor(MENTIONS)))

    for index, (row, start, end) in enumerate(MENTIONS):
        expected = paper.weight_pooling(_numpy(states[row, start:end]), hidden, bias, _numpy(model.pooling.score))
        np.testing.assert_allclose(pooled[index], expected, atol=1e-5)


def test_max_pooling_takes_the_largest_of_the_span_in_each_feature() -> None:
    model = _model(ModelConfig(entity_pooling="max"))
    states = torch.randn(3, 9, WIDTH)

    pooled = model.entities(states, torch.tensor(MENTIONS))

    assert model.pooling is None
    for index, (row, start, end) in enumerate(MENTIONS):
        torch.testing.assert_close(pooled[index], states[row, start:end].max(0).values)


def test_a_context_is_made_of_the_opening_markers_or_of_the_first_tokens() -> None:
    states, mentions = torch.randn(3, 9, WIDTH), torch.tensor(MENTIONS)
    marked, shared = (_model(ModelConfig(pairing=pairing)).ends(states, mentions) for pairing in ("marked", "shared"))
    for index, (row, start, _) in enumerate(MENTIONS):
        torch.testing.assert_close(marked[index], states[row, start - 1])
        torch.testing.assert_close(shared[index], states[row, start])


@pytest.mark.parametrize("pairing", ["marked", "shared"])
@pytest.mark.parametrize("parts", PARTS)
def test_contexts_are_equations_4_14_22_and_23(parts: DistillerParts, pairing: str) -> None:
    model = _model(ModelConfig(pairing=pairing, distiller=parts))  # type: ignore[arg-type]
    ids, mask, mentions, pairs = _inputs()
    with torch.no_grad():
        states = model.token_states(ids, mask)
        output = model(ids, mask, mentions, pairs)
    weight, bias = _numpy(model.context.weight), _numpy(model.context.bias)

    for pair, (head, tail) in enumerate(pairs.tolist()):
        row, back = MENTIONS[head][0], 1 if pairing == "marked" else 0
        ends = [_numpy(states[row, MENTIONS[mention][1] - back]) for mention in (head, tail)]
        hidden = weight @ np.concatenate(ends) + bias
        own = states[row, : len(ROWS[row])]
        expected = np.zeros(WIDTH) if parts != "none" else hidden
        if model.projection is not None:
            direction = paper.irrelevant(_numpy(model.projection.query), _numpy(own))
            expected = expected + paper.without_direction(hidden, direction)
        if model.selector is not None:
            keys, values = _numpy(model.selector.key(own)), _numpy(model.selector.value(own))
            query = _numpy(model.selector.query(torch.from_numpy(hidden).float()))
            gaussian = paper.position_gaussian(len(own), float(model.selector.offset.detach()))
            expected = expected + paper.selected(query, keys, values, gaussian)
        np.testing.assert_allclose(_numpy(output.contexts_PD[pair]), expected, atol=2e-4)

    assert (model.projection is not None) == (parts in ("both", "projection"))
    assert (model.selector is not None) == (parts in ("both", "gaussian"))
    assert (output.relation_logits_SR is None) == (model.projection is None)


def test_the_reversed_classifier_teaches_nothing_but_itself_and_the_query() -> None:
    model = _model()
    output = model(*_inputs())
    assert output.relation_logits_SR is not None

    reverse_loss(output.relation_logits_SR, torch.eye(RELATIONS)[: len(ROWS)]).backward()

    taught = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert taught == {"projection.query", "projection.classifier.weight", "projection.classifier.bias"}
    assert all(model.get_parameter(name).grad.abs().sum() > 0 for name in taught)  # type: ignore[union-attr]


def test_without_training_an_interaction_adds_nothing() -> None:
    plain = _model()
    more = SentenceModel(plain.encoder, ModelConfig(interaction=True), RELATIONS).eval()
    assert set(more.load_state_dict(plain.state_dict(), strict=False).missing_keys) == {
        "interaction.hidden.weight", "interaction.hidden.bias", "interaction.out.weight", "interaction.out.bias",
    }  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(more(*_inputs()).contexts_PD, plain(*_inputs()).contexts_PD)


def test_with_an_interaction_an_end_means_different_things_beside_different_partners() -> None:
    """Of ĥ as the paper has it, what a head adds is the same whatever the tail."""

    def surplus(config: ModelConfig) -> torch.Tensor:
        model = _model(replace(config, distiller="none"))
        ids, mask, mentions, _ = _inputs((0,))
        with torch.no_grad():
            states = model.token_states(ids, mask)
            contexts = model.contexts(states, mask.bool(), mentions, torch.tensor([[0, 1], [2, 1], [0, 0], [2, 0]]))
        return (contexts[0] - contexts[1]) - (contexts[2] - contexts[3])

    assert surplus(ModelConfig()).abs().max() < 1e-5
    assert surplus(ModelConfig(interaction=True)).abs().max() > 1e-3


def test_the_score_is_equation_26() -> None:
    model = _model()
    generator = np.random.default_rng(3)
    texts = generator.normal(size=(3, RELATIONS, WIDTH))
    blocks = scale_blocks(*texts.astype(np.float32), model.config.alpha)
    ids, mask, mentions, pairs = _inputs()
    with torch.no_grad():
        entities = _numpy(torch.tanh(model.entities(model.token_states(ids, mask), mentions)))
        output = model(ids, mask, mentions, pairs)
        scores = _numpy(pair_scores(output, pairs, torch.from_numpy(blocks)))
    contexts = np.tanh(_numpy(output.contexts_PD))

    for pair, (head, tail) in enumerate(pairs.tolist()):
        for relation in range(RELATIONS):
            expected = paper.matching_score(
                (entities[head], entities[tail], contexts[pair]), tuple(texts[:, relation]), model.config.alpha
            )
            assert scores[pair, relation] == pytest.approx(expected, abs=1e-5)


def test_vectors_are_scaled_so_that_a_score_is_one_dot_product() -> None:
    model = _model(ModelConfig(alpha=0.2))
    with torch.no_grad():
        output = model(*_inputs())
    torch.testing.assert_close(output.mention_vectors_MD.norm(dim=-1), torch.full((len(MENTIONS),), math.sqrt(0.2)))
    torch.testing.assert_close(output.context_vectors_PD.norm(dim=-1), torch.full((len(PAIRS),), math.sqrt(0.6)))


@pytest.mark.parametrize("pairing", ["marked", "shared"])
@pytest.mark.parametrize("gaussian", ["position", "value"])
def test_neither_padding_nor_the_rest_of_the_batch_changes_a_vector(pairing: str, gaussian: str) -> None:
    model = _model(ModelConfig(pairing=pairing, gaussian=gaussian))  # type: ignore[arg-type]
    with torch.no_grad():
        whole = model(*_inputs())
        padded = model(*_inputs(padding=7))
        alone = [model(*_inputs((row,))) for row in range(len(ROWS))]

    torch.testing.assert_close(padded.mention_vectors_MD, whole.mention_vectors_MD, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded.context_vectors_PD, whole.context_vectors_PD, atol=1e-5, rtol=0)
    mentions = torch.cat([output.mention_vectors_MD for output in alone])
    contexts = torch.cat([output.context_vectors_PD for output in alone])
    torch.testing.assert_close(mentions, whole.mention_vectors_MD, atol=1e-5, rtol=0)
    torch.testing.assert_close(contexts, whole.context_vectors_PD, atol=1e-5, rtol=0)


def test_the_order_of_a_pair_matters() -> None:
    with torch.no_grad():
        output = _model()(*_inputs())
    assert PAIRS[0] == PAIRS[1][::-1]
    assert (output.context_vectors_PD[0] - output.context_vectors_PD[1]).abs().max() > 1e-3


def test_bf16_is_the_encoder_s_alone() -> None:
    model = _model()
    with torch.no_grad():
        exact = model(*_inputs())
        model.bf16_encoder = True
        rounded = model(*_inputs())
    assert rounded.mention_vectors_MD.dtype == rounded.context_vectors_PD.dtype == torch.float32
    assert not torch.equal(rounded.mention_vectors_MD, exact.mention_vectors_MD)
    torch.testing.assert_close(rounded.mention_vectors_MD, exact.mention_vectors_MD, atol=0.05, rtol=0)


def test_a_bert_base_configuration_has_the_paper_s_number_of_parameters() -> None:
    with torch.device("meta"):
        model = SentenceModel(BertModel(BertConfig()), ModelConfig(), seen_relations=60)
    assert 113.655e6 <= count_parameters(model) < 113.665e6


def test_the_baseline_has_fewer() -> None:
    """RE-Matching as a configuration of this code: no selector, entities pooled by their maximum.

    The layer of the contrast stays, though it is not used.
    """
    with torch.device("meta"):
        encoder = BertModel(BertConfig())
        full = SentenceModel(encoder, ModelConfig(), seen_relations=60)
        baseline = SentenceModel(encoder, replace(full.config, distiller="projection", entity_pooling="max"), 60)
    assert sum(parameter.numel() for parameter in baseline.contrast.parameters()) == 768 * 768 + 768
    # Three projections and an offset of the selector; one layer and the scores of the pooling.
    assert count_parameters(full) - count_parameters(baseline) == 4 * (768 * 768 + 768) + 1 + 768
