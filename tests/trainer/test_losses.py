from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.trainer import paper
from zsre.trainer.losses import (
    ContrastConfig,
    Negatives,
    RankingConfig,
    augment,
    contrastive_loss,
    level_loss,
    pair_loss,
    ranking_loss,
    reverse_loss,
)

#: Relation 0 is stated; the others rank 3, 1, 4, 2 by score.
SCORES = torch.tensor([[0.50, 0.60, 0.30, 0.58, 0.45]])


def _numpy(tensor: torch.Tensor) -> paper.Array:
    return tensor.detach().double().numpy()


def _targets(relations: list[int], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One stated relation a pair, all others permitted as negatives."""
    stated = F.one_hot(torch.tensor(relations), count).bool()
    return stated, ~stated


def _views(pairs: int = 6, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    one, other = torch.randn(2, pairs, width)
    return F.normalize(one, dim=-1), F.normalize(other, dim=-1)


def _rank(scores: torch.Tensor, permitted: torch.Tensor | None = None, **fields: object) -> float:
    stated, negative = _targets([0] * len(scores), scores.shape[1])
    config = replace(RankingConfig(hard_margin=0.2, semi_hard_margin=0.1, top_k=2), **fields)
    return float(ranking_loss(scores, stated, negative if permitted is None else permitted, config))


class TestContrast:
    def test_is_equations_24_and_25(self) -> None:
        one, other = _views()
        found = contrastive_loss(one, other, torch.arange(6), ContrastConfig(temperature=0.05))
        assert float(found) == pytest.approx(paper.contrastive_loss(_numpy(one), _numpy(other), 0.05), rel=1e-5)

    def test_the_paper_takes_the_same_relation_for_a_negative_too(self) -> None:
        one, other = _views()
        relations = torch.tensor([0, 0, 0, 1, 1, 2])
        found = contrastive_loss(one, other, relations, ContrastConfig(temperature=0.05, same_relation="negative"))
        assert float(found) == pytest.approx(paper.contrastive_loss(_numpy(one), _numpy(other), 0.05), rel=1e-5)

    def test_the_same_relation_can_be_ignored(self) -> None:
        one, other = _views()
        relations = [0, 0, 0, 1, 1, 2]
        config = ContrastConfig(temperature=0.5, same_relation="ignore")

        found = contrastive_loss(one, other, torch.tensor(relations), config)

        losses = []
        for i in range(6):
            columns = [i] + [j for j in range(6) if relations[j] != relations[i]]
            losses.append(-np.log(paper.softmax(_numpy(one[i] @ other[columns].T) / 0.5)[0]))
        assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)

    def test_the_same_relation_can_be_a_positive(self) -> None:
        one, other = _views()
        relations = [0, 0, 0, 1, 1, 2]
        config = ContrastConfig(temperature=0.5, same_relation="positive")

        found = contrastive_loss(one, other, torch.tensor(relations), config)

        losses = []
        for i in range(6):
            logs = np.log(paper.softmax(_numpy(one[i] @ other.T) / 0.5))
            losses.append(-np.mean([logs[j] for j in range(6) if relations[j] == relations[i]]))
        assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)

    def test_read_literally_there_is_next_to_nothing_to_learn(self) -> None:
        """Two light views of one context are trivially alike; what docs/paper.md names brings the loss back."""
        torch.manual_seed(0)
        contexts = torch.randn(32, 384) + torch.randn(384)  # cosines of about a half
        relations = torch.arange(32) // 2

        def loss(**fields: object) -> float:
            torch.manual_seed(1)
            config = replace(ContrastConfig(), **fields)
            one, other = (F.normalize(augment(contexts, view, config), dim=-1) for view in config.views)
            return float(contrastive_loss(one, other, relations, config))

        assert loss() < 0.03
        assert loss(temperature=0.01) < loss(same_relation="ignore") <= loss()
        assert loss(mask=0.5, cutoff=0.5) > 10 * loss()
        assert loss(temperature=0.5) > 1
        assert loss(same_relation="positive") > 1

    def test_pairs_without_a_relation_are_alike_to_none(self) -> None:
        one, other = _views()
        none = torch.full((6,), -1)
        losses = [
            float(contrastive_loss(one, other, relations, ContrastConfig(same_relation="ignore")))
            for relations in (none, torch.arange(6))
        ]
        assert losses[0] == losses[1]


class TestAugment:
    x = torch.full((200, 300), 2.0)

    def test_mask_zeroes_elements_at_its_rate(self) -> None:
        torch.manual_seed(0)
        view = augment(self.x, "mask", ContrastConfig(mask=0.15))
        assert set(view.unique().tolist()) == {0.0, 2.0}
        assert float((view == 0).float().mean()) == pytest.approx(0.15, abs=0.01)
        assert not (view == 0).all(0).any()

    def test_cutoff_zeroes_whole_dimensions_at_its_rate(self) -> None:
        torch.manual_seed(0)
        view = augment(self.x, "cutoff", ContrastConfig(cutoff=0.2))
        cut = (view == 0).all(0)
        assert torch.equal(cut, (view == 0).any(0)) and (view[:, ~cut] == 2).all()
        assert float(cut.float().mean()) == pytest.approx(0.2, abs=0.06)

    def test_dropout_rescales_what_it_keeps(self) -> None:
        torch.manual_seed(0)
        view = augment(self.x, "dropout", ContrastConfig(dropout=0.1))
        assert float((view == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
        torch.testing.assert_close(view[view != 0], torch.full_like(view[view != 0], 2 / 0.9))

    @pytest.mark.parametrize("kind", ["mask", "cutoff", "dropout"])
    def test_views_depend_on_the_seed_alone(self, kind: str) -> None:
        views = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            views.append(augment(self.x, kind, ContrastConfig()))  # type: ignore[arg-type]
        assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])


class TestReverse:
    def test_is_equation_13(self) -> None:
        logits = torch.randn(4, 5)
        stated, _ = _targets([0, 3, 3, 1], 5)
        assert float(reverse_loss(logits, stated.float())) == pytest.approx(
            paper.reverse_loss(_numpy(logits), [0, 3, 3, 1]), rel=1e-5
        )

    def test_rows_that_state_nothing_count_for_nothing(self) -> None:
        logits = torch.randn(3, 5)
        stated, _ = _targets([2, 4, 0], 5)
        stated[1] = False
        assert float(reverse_loss(logits, stated.float())) == pytest.approx(
            paper.reverse_loss(_numpy(logits[[0, 2]]), [2, 0]), rel=1e-5
        )

    def test_a_row_that_states_several_spreads_its_target(self) -> None:
        logits = torch.randn(1, 5)
        stated = torch.tensor([[1.0, 0, 0, 1, 0]])
        halves = [paper.reverse_loss(_numpy(logits), [relation]) for relation in (0, 3)]
        assert float(reverse_loss(logits, stated)) == pytest.approx(np.mean(halves), rel=1e-5)

    def test_a_batch_that_states_nothing_costs_nothing(self) -> None:
        assert float(reverse_loss(torch.randn(2, 5), torch.zeros(2, 5))) == 0


class TestRanking:
    @pytest.mark.parametrize("top_k", [1, 2, 3, 4, 9])
    def test_is_equations_27_to_29(self, top_k: int) -> None:
        torch.manual_seed(0)
        scores = torch.rand(7, 5)
        relations = [0, 1, 2, 3, 4, 0, 1]
        config = RankingConfig(hard_margin=0.06, semi_hard_margin=0.02, top_k=top_k)
        expected = paper.ranking_loss(_numpy(scores), relations, top_k, 0.06, 0.02)
        assert float(ranking_loss(scores, *_targets(relations, 5), config)) == pytest.approx(expected, rel=1e-5)

    def test_hard_is_the_highest_negative_and_semi_hard_the_highest_below_the_first_k(self) -> None:
        assert _rank(SCORES, top_k=1) == pytest.approx((0.60 - 0.50 + 0.2) + (0.58 - 0.50 + 0.1))
        assert _rank(SCORES, top_k=2) == pytest.approx((0.60 - 0.50 + 0.2) + (0.45 - 0.50 + 0.1))
        assert _rank(SCORES, top_k=3) == pytest.approx(0.60 - 0.50 + 0.2)  # 0.30 is far enough below

    def test_hard_alone(self) -> None:
        assert _rank(SCORES, negatives="hard") == pytest.approx(0.60 - 0.50 + 0.2)

    def test_relations_that_are_not_permitted_are_no_negatives(self) -> None:
        permitted = torch.tensor([[False, False, True, False, True]])
        assert _rank(SCORES, permitted, top_k=1) == pytest.approx(0.45 - 0.50 + 0.2)
        assert _rank(SCORES, torch.zeros_like(permitted)) == 0

    @pytest.mark.parametrize("negatives", ["ranked", "hard", "random", "softmax"])
    def test_nothing_permitted_costs_nothing_and_has_a_finite_gradient(self, negatives: Negatives) -> None:
        scores = SCORES.clone().requires_grad_()
        stated = torch.tensor([[True, False, False, False, False]])
        loss = ranking_loss(scores, stated, torch.zeros_like(stated), RankingConfig(negatives=negatives))
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert scores.grad is not None and torch.isfinite(scores.grad).all()

    def test_random_negatives_are_drawn_from_all_that_are_permitted_and_from_no_other(self) -> None:
        torch.manual_seed(0)
        permitted = torch.tensor([[False, True, True, False, True]])
        drawn = {round(_rank(SCORES, permitted, negatives="random", hard_margin=1.0), 4) for _ in range(60)}
        assert drawn == {round(score - 0.50 + 1.0, 4) for score in (0.60, 0.30, 0.45)}

    def test_softmax_over_the_stated_relation_and_the_permitted_ones(self) -> None:
        permitted = torch.tensor([[False, True, False, True, True]])
        expected = -np.log(paper.softmax(_numpy(SCORES[0, [0, 1, 3, 4]]) / 0.05)[0])
        assert _rank(SCORES, permitted, negatives="softmax", temperature=0.05) == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("negatives", ["ranked", "hard", "random", "softmax"])
    def test_pairs_that_state_nothing_are_left_out_of_the_mean(self, negatives: Negatives) -> None:
        torch.manual_seed(0)
        stated, negative = _targets([0, 0], 5)
        stated[1], negative[1] = False, True
        scores = torch.cat([SCORES, SCORES + 0.3]).requires_grad_()
        config = RankingConfig(negatives=negatives, hard_margin=2.0)

        loss = ranking_loss(scores, stated, negative, config)
        loss.backward()

        assert scores.grad is not None and not scores.grad[1].any() and scores.grad[0].any()
        if negatives != "random":
            alone = ranking_loss(scores[:1], stated[:1], negative[:1], config)
            assert loss.item() == pytest.approx(alone.item())

    def test_a_pair_that_states_several_relations_answers_for_the_lowest(self) -> None:
        stated = torch.tensor([[True, True, False, False, False]])
        loss = ranking_loss(SCORES, stated, ~stated, RankingConfig(negatives="hard", hard_margin=0.2))
        assert float(loss) == pytest.approx(0.58 - 0.50 + 0.2)


class TestPairs:
    scores = torch.tensor([[0.5, 0.1], [0.6, 0.9], [0.2, 0.4]])
    stated = torch.tensor([[True, False], [False, True], [False, False]])

    def _loss(self, negative: torch.Tensor, stated: torch.Tensor | None = None) -> float:
        return float(pair_loss(self.scores, self.stated if stated is None else stated, negative, 0.1))

    def _cost(self, own: float, *rivals: float) -> float:
        exponents = np.exp(np.array([own, *rivals]) / 0.1)
        return float(-np.log(exponents[0] / exponents.sum()))

    def test_is_a_softmax_over_pairs_for_each_stated_relation(self) -> None:
        expected = np.mean([self._cost(0.5, 0.6, 0.2), self._cost(0.9, 0.1, 0.4)])
        assert self._loss(~self.stated) == pytest.approx(expected, rel=1e-5)

    def test_only_permitted_pairs_compete(self) -> None:
        negative = torch.tensor([[False, False], [False, False], [True, False]])
        assert self._loss(negative) == pytest.approx(np.mean([self._cost(0.5, 0.2), 0]), rel=1e-5)

    def test_pairs_that_state_the_same_do_not_compete(self) -> None:
        stated = torch.tensor([[True, False], [True, False], [False, False]])
        expected = np.mean([self._cost(0.5, 0.2), self._cost(0.6, 0.2)])
        assert self._loss(~stated, stated) == pytest.approx(expected, rel=1e-5)

    def test_a_batch_that_states_nothing_costs_nothing(self) -> None:
        assert self._loss(~self.stated, torch.zeros_like(self.stated)) == 0


class TestLevel:
    slope, level = torch.tensor(10.0), torch.tensor(0.4)

    def _loss(self, top_k: int, permitted: torch.Tensor | None = None) -> float:
        stated, negative = _targets([0], 5)
        permitted = negative if permitted is None else permitted
        return float(level_loss(SCORES, stated, permitted, self.slope, self.level, top_k))

    def _cost(self, score: float, right: bool) -> float:
        probability = 1 / (1 + np.exp(-10 * (score - 0.4)))
        return float(-np.log(probability if right else 1 - probability))

    def test_stated_relations_and_the_hardest_negatives_weigh_the_same(self) -> None:
        negatives = [self._cost(0.60, False), self._cost(0.58, False)]
        assert self._loss(2) == pytest.approx(self._cost(0.50, True) + np.mean(negatives), rel=1e-5)

    def test_only_permitted_relations_are_negatives(self) -> None:
        permitted = torch.tensor([[False, False, True, False, False]])
        assert self._loss(2, permitted) == pytest.approx(self._cost(0.50, True) + self._cost(0.30, False), rel=1e-5)

    def test_without_negatives_the_stated_relations_remain(self) -> None:
        nothing = torch.zeros(1, 5, dtype=torch.bool)
        assert self._loss(2, nothing) == pytest.approx(self._cost(0.50, True), rel=1e-5)

    def test_it_teaches_slope_and_level(self) -> None:
        slope, level = torch.tensor(10.0, requires_grad=True), torch.tensor(0.9, requires_grad=True)
        level_loss(SCORES, *_targets([0], 5), slope, level, 3).backward()
        # All scores lie below the level, so it is too high for the stated relation.
        assert level.grad is not None and level.grad > 0
        assert slope.grad is not None and slope.grad != 0
