from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainer import paper
from zsre.relations.vectors import scale_blocks
from zsre.trainer import objective
from zsre.trainer.batches import Batch, make_batch
from zsre.trainer.config import LevelConfig, TrainConfig
from zsre.trainer.losses import ContrastConfig, RankingConfig, level_loss, ranking_loss
from zsre.trainer.model import SentenceOutput
from zsre.trainer.objective import LossParts, Objective, pair_scores
from zsre.trainer.setup import Setup, prepare

WIDTH, RELATIONS = 6, 5
#: Two rows; the first holds three mentions and two pairs, the second two mentions and one pair.
MENTIONS = torch.tensor([[0, 1, 2], [0, 3, 4], [0, 5, 6], [1, 1, 2], [1, 2, 3]])
PAIRS = torch.tensor([[0, 1], [2, 1], [4, 3]])


@dataclass
class FixedModel:
    """Stands in for a model: gives a fixed output whatever it reads."""

    output: SentenceOutput

    def __post_init__(self) -> None:
        torch.manual_seed(7)
        self.contrast = nn.Linear(WIDTH, WIDTH)

    def __call__(self, *inputs: Tensor) -> SentenceOutput:
        return self.output


def _output() -> SentenceOutput:
    torch.manual_seed(0)
    return SentenceOutput(
        mention_vectors_MD=torch.randn(len(MENTIONS), WIDTH),
        context_vectors_PD=torch.randn(len(PAIRS), WIDTH),
        contexts_PD=torch.randn(len(PAIRS), WIDTH),
        states_STD=torch.randn(2, 7, WIDTH),
        relation_logits_SR=torch.randn(2, RELATIONS),
    )


def _batch(stated: list[list[int]], negative: list[list[int]] | None = None) -> Batch:
    stated_PR = torch.zeros(len(PAIRS), RELATIONS, dtype=torch.bool)
    for pair, relations in enumerate(stated):
        stated_PR[pair, relations] = True
    negative_PR = ~stated_PR
    if negative is not None:
        negative_PR = torch.zeros_like(stated_PR)
        for pair, relations in enumerate(negative):
            negative_PR[pair, relations] = True
    ids = torch.ones(2, 8, dtype=torch.int64)
    return Batch(ids, ids, MENTIONS, PAIRS, stated_PR, negative_PR)


def _parts(batch: Batch, output: SentenceOutput, **configs: object) -> dict[str, float]:
    torch.manual_seed(1)
    chosen = {"contrast": ContrastConfig(weight=0), "ranking": RankingConfig(scope="seen"), "level": LevelConfig()}
    objective = Objective(**(chosen | configs))  # type: ignore[arg-type]
    losses = objective(FixedModel(output), batch, _relations())
    return {name: value.item() for name, value in losses.values().items()}


def _numpy(tensor: Tensor) -> paper.Array:
    return tensor.detach().double().numpy()


def _relations() -> Tensor:
    return torch.randn(RELATIONS, 3, WIDTH, generator=torch.Generator().manual_seed(5))


def test_scores_are_the_sum_of_three_products() -> None:
    output, relations = _output(), _relations()
    scores = pair_scores(output, PAIRS, relations)
    for pair, (head, tail) in enumerate(PAIRS.tolist()):
        vector = torch.cat(
            [output.mention_vectors_MD[head], output.mention_vectors_MD[tail], output.context_vectors_PD[pair]]
        )
        torch.testing.assert_close(scores[pair], relations.flatten(1) @ vector)


def test_the_parts_add_up_to_equation_30() -> None:
    parts = _parts(
        _batch([[0], [1], [2]]), _output(), contrast=ContrastConfig(weight=0.7), level=LevelConfig(weight=0.3)
    )
    assert all(parts[name] > 0 for name in ("ranking", "contrast", "reverse", "level"))
    expected = parts["ranking"] + 0.7 * parts["contrast"] + parts["reverse"] + 0.3 * parts["level"]
    assert parts["total"] == pytest.approx(expected, rel=1e-6)


def test_parts_that_are_switched_off_are_zero() -> None:
    output = replace(_output(), relation_logits_SR=None)
    parts = _parts(_batch([[0], [1], [2]]), output)
    assert parts["contrast"] == parts["level"] == parts["reverse"] == 0
    assert parts["total"] == parts["ranking"] > 0


def test_negatives_come_from_the_batch_or_from_all_seen_relations() -> None:
    batch, output = _batch([[0], [1], [1]]), _output()
    scores = pair_scores(output, PAIRS, _relations())
    for scope, others in (("seen", [0, 1, 2, 3, 4]), ("batch", [0, 1])):
        config = RankingConfig(negatives="softmax", scope=scope)  # type: ignore[arg-type]
        permitted = torch.zeros_like(batch.negative_PR)
        permitted[:, others] = True
        expected = ranking_loss(scores, batch.stated_PR, batch.negative_PR & permitted, config)
        assert _parts(batch, output, ranking=config)["ranking"] == pytest.approx(expected.item(), rel=1e-6)


def test_the_level_takes_every_permitted_negative_whatever_the_scope() -> None:
    batch, output = _batch([[0], [1], []], [[1, 4], [], [3]]), _output()
    level = LevelConfig(weight=1, top_k=2, slope=8.0, level=0.3)
    scores = pair_scores(output, PAIRS, _relations())
    expected = level_loss(scores, batch.stated_PR, batch.negative_PR, torch.tensor(8.0), torch.tensor(0.3), 2)
    for scope in ("seen", "batch"):
        parts = _parts(batch, output, ranking=RankingConfig(scope=scope), level=level)  # type: ignore[arg-type]
        assert parts["level"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_row_is_classified_as_all_that_its_pairs_state() -> None:
    output = _output()
    assert output.relation_logits_SR is not None
    logits = output.relation_logits_SR.double().numpy()
    several = [paper.reverse_loss(logits[:1], [relation]) for relation in (0, 3)]

    both = _parts(_batch([[0], [3], [2]]), output)["reverse"]
    first_alone = _parts(_batch([[0], [3], []]), output)["reverse"]
    twice_the_same = _parts(_batch([[3], [0, 3], []]), output)["reverse"]

    assert both == pytest.approx(np.mean([np.mean(several), paper.reverse_loss(logits[1:], [2])]), rel=1e-5)
    assert first_alone == pytest.approx(np.mean(several), rel=1e-5)
    # A relation that two pairs of a row state counts once.
    assert twice_the_same == pytest.approx(np.mean(several), rel=1e-5)


def test_contrast_is_between_the_projected_views_of_the_contexts_that_state_something() -> None:
    output, stating = _output(), [0, 2]
    # Nothing masked and nothing cut: both views are the context itself.
    config = ContrastConfig(mask=0, cutoff=0, temperature=0.2)
    views = F.normalize(FixedModel(output).contrast(output.contexts_PD[stating]), dim=-1).detach().double().numpy()

    found = _parts(_batch([[0], [], [2]]), output, contrast=config)["contrast"]

    assert found == pytest.approx(paper.contrastive_loss(views, views, 0.2), rel=1e-5)
    assert _parts(_batch([[], [], []]), output, contrast=config)["contrast"] == 0


def test_the_two_views_are_those_of_algorithm_2_in_the_order_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, model = _output(), FixedModel(_output())
    kept = {"mask": torch.rand(len(PAIRS), WIDTH) < 0.8, "cutoff": torch.arange(WIDTH) != 2}
    monkeypatch.setattr(objective, "augment", lambda x, kind, config: x * kept[kind])
    weights = {f"contrast.{name}": _numpy(parameter) for name, parameter in model.contrast.named_parameters()}

    for views in (("mask", "cutoff"), ("cutoff", "mask")):
        found = _parts(_batch([[0], [1], [2]]), output, contrast=ContrastConfig(views=views, temperature=0.2))  # type: ignore[arg-type]
        one, other = (
            np.stack([paper.projected_view(row, weights) for row in _numpy(output.contexts_PD * kept[view])])
            for view in views
        )
        assert found["contrast"] == pytest.approx(paper.contrastive_loss(one, other, 0.2), rel=1e-5)


def test_slope_and_level_start_where_the_configuration_says() -> None:
    objective = Objective(ContrastConfig(), RankingConfig(), LevelConfig(slope=12.0, level=0.4))
    assert objective.log_slope.exp().item() == pytest.approx(12.0)
    assert objective.level.item() == pytest.approx(0.4)


class TestWholeBatch:
    """From token rows to the loss, with an encoder, and relations that differ in head, tail and context."""

    ranking = RankingConfig(hard_margin=0.5, semi_hard_margin=0.4, top_k=1)
    #: Head, tail and context vectors of four relations.
    texts = np.random.default_rng(4).normal(size=(3, 4, 32))

    @pytest.fixture(params=["marked", "shared"])
    def pairing(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def make(self, tiny_config: Callable[..., TrainConfig], pairing: str) -> Callable[[str], Setup]:
        """Return a function that makes a model whose new layers are far from zero, with a Gaussian as asked."""

        def make(gaussian: str) -> Setup:
            setup = prepare(tiny_config(model={"pairing": pairing, "gaussian": gaussian}), torch.device("cpu"))
            torch.manual_seed(2)
            for name, parameter in setup.model.named_parameters():
                if not name.startswith("encoder."):
                    nn.init.normal_(parameter, std=0.3)
            setup.model.eval()
            return setup

        return make

    @staticmethod
    def _batch(setup: Setup) -> Batch:
        """Five rows of three of the four seen relations."""
        stated = setup.pairs.stated.argmax(-1)
        chosen = [row for row in setup.rows if stated[row.pair_positions[0]] < 3][:5]
        return make_batch(chosen, setup.pairs, setup.tokens.pad_id)

    def _losses(self, setup: Setup, batch: Batch, contrast: ContrastConfig | None = None) -> LossParts:
        torch.manual_seed(3)
        table = torch.from_numpy(scale_blocks(*self.texts.astype(np.float32), setup.config.model.alpha))
        found: LossParts = Objective(contrast or ContrastConfig(), self.ranking, LevelConfig())(
            setup.model, batch, table
        )
        return found

    def test_views_of_token_states_go_through_the_distiller(
        self, make: Callable[[str], Setup], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup = make("position")
        batch, model = self._batch(setup), setup.model
        inputs = (batch.attention_mask.bool(), batch.mentions, batch.pairs)
        states = model.token_states(batch.input_ids, batch.attention_mask)
        kept = {"mask": torch.rand(states.shape) < 0.8, "cutoff": torch.arange(32) % 5 != 2}
        monkeypatch.setattr(objective, "augment", lambda x, kind, config: x * kept[kind])

        found = self._losses(setup, batch, ContrastConfig(augmented="states", temperature=0.2)).contrast

        weights = {f"contrast.{name}": _numpy(parameter) for name, parameter in model.contrast.named_parameters()}
        one, other = (
            np.stack(
                [paper.projected_view(row, weights) for row in _numpy(model.contexts(states * kept[view], *inputs))]
            )
            for view in ("mask", "cutoff")
        )
        assert float(found.detach()) == pytest.approx(paper.contrastive_loss(one, other, 0.2), rel=1e-4)

    @pytest.mark.parametrize("gaussian", ["position", "value"])
    def test_costs_what_equations_2_to_30_say(
        self, make: Callable[[str], Setup], pairing: str, gaussian: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup = make(gaussian)
        batch, alpha = self._batch(setup), setup.config.model.alpha
        kept = {"mask": torch.rand(len(batch.pairs), 32) < 0.8, "cutoff": torch.arange(32) % 5 != 2}
        monkeypatch.setattr(objective, "augment", lambda x, kind, config: x * kept[kind])

        found = self._losses(setup, batch).values()

        weights = {name: _numpy(parameter) for name, parameter in setup.model.named_parameters()}
        relations = batch.stated_PR.int().argmax(-1).tolist()
        present = sorted(set(relations))
        assert len(present) == 3
        texts = [tuple(self.texts[:, relation]) for relation in present]
        states = _numpy(setup.model.token_states(batch.input_ids, batch.attention_mask))
        lengths = batch.attention_mask.sum(1).tolist()
        contexts, logits, scores = [], [], []
        for pair in batch.pairs:
            (row, *head), (_, *tail) = batch.mentions[pair].tolist()
            own = states[row, : lengths[row]]
            vectors = paper.sentence_side(own, tuple(head), tuple(tail), weights, pairing == "marked", gaussian)
            contexts.append(vectors[2])
            tanh = (np.tanh(vectors[0]), np.tanh(vectors[1]), np.tanh(vectors[2]))
            scores.append([paper.matching_score(tanh, text, alpha) for text in texts])
            dot = paper.attended(weights["projection.query"], own)
            logits.append(paper.linear(dot, weights, "projection.classifier"))
        one, other = (
            np.stack([paper.projected_view(row, weights) for row in np.stack(contexts) * _numpy(kept[view])])
            for view in ("mask", "cutoff")
        )
        places = [present.index(relation) for relation in relations]
        expected = {
            "ranking": paper.ranking_loss(np.array(scores), places, 1, 0.5, 0.4),
            "contrast": paper.contrastive_loss(one, other, 0.05),
            "reverse": paper.reverse_loss(np.stack(logits), relations),
        }
        for name, value in expected.items():
            assert value > 1e-3
            assert found[name].item() == pytest.approx(value, rel=1e-3), name
        assert found["total"].item() == pytest.approx(sum(expected.values()), rel=1e-3)

    def test_costs_and_teaches_the_same_beside_a_longer_sentence(self, make: Callable[[str], Setup]) -> None:
        """The longer one states nothing, and what stands in the padding is no padding token."""
        setup = make("position")
        batch = self._batch(setup)
        rows, tokens = batch.input_ids.shape
        ids = torch.randint(10, 60, (rows + 1, tokens + 9))
        mask = torch.ones_like(ids)
        mask[:rows] = F.pad(batch.attention_mask, (0, 9))
        ids[:rows] = torch.where(mask[:rows].bool(), F.pad(batch.input_ids, (0, 9)), ids[:rows])
        first = len(batch.mentions)
        none = torch.zeros(1, batch.stated_PR.shape[1], dtype=torch.bool)
        longer = Batch(
            ids,
            mask,
            torch.cat([batch.mentions, torch.tensor([[rows, 2, 3], [rows, 6, 8]])]),
            torch.cat([batch.pairs, torch.tensor([[first, first + 1]])]),
            torch.cat([batch.stated_PR, none]),
            torch.cat([batch.negative_PR, ~none]),
        )

        parameters = [parameter for parameter in setup.model.parameters() if parameter.requires_grad]
        found = []
        for each in (batch, longer):
            losses = self._losses(setup, each)
            found.append((losses.values(), torch.autograd.grad(losses.total, parameters, allow_unused=True)))

        (values, gradients), (longer_values, longer_gradients) = found
        torch.testing.assert_close(longer_values, values, atol=1e-5, rtol=0)
        for gradient, longer_gradient in zip(gradients, longer_gradients, strict=True):
            torch.testing.assert_close(longer_gradient, gradient, atol=1e-4, rtol=1e-4)
