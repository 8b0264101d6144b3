from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.trainer import paper
from zsre.trainer.batches import Batch
from zsre.trainer.config import LevelConfig
from zsre.trainer.losses import ContrastConfig, RankingConfig, level_loss, ranking_loss
from zsre.trainer.model import SentenceOutput
from zsre.trainer.objective import Objective, pair_scores

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


def test_slope_and_level_start_where_the_configuration_says() -> None:
    objective = Objective(ContrastConfig(), RankingConfig(), LevelConfig(slope=12.0, level=0.4))
    assert objective.log_slope.exp().item() == pytest.approx(12.0)
    assert objective.level.item() == pytest.approx(0.4)
