"""The whole loss of one batch (eq. 30), with its parts kept apart for the log."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zsre.trainer.batches import Batch
from zsre.trainer.config import LevelConfig
from zsre.trainer.losses import (
    ContrastConfig,
    RankingConfig,
    augment,
    contrastive_loss,
    level_loss,
    pair_loss,
    ranking_loss,
    reverse_loss,
)
from zsre.trainer.model import SentenceModel, SentenceOutput


@dataclass(frozen=True)
class LossParts:
    """The parts of eq. 30, and the level loss that zsre adds; ``total`` is what is minimised."""

    ranking: Tensor
    contrast: Tensor
    reverse: Tensor
    level: Tensor
    total: Tensor

    def values(self) -> dict[str, Tensor]:
        """Return the parts by name, detached."""
        return {name: getattr(self, name).detach() for name in ("total", "ranking", "contrast", "reverse", "level")}


class Objective(nn.Module):
    """Scores a batch against the relation table and adds the losses up; holds the level's two parameters."""

    def __init__(self, contrast: ContrastConfig, ranking: RankingConfig, level: LevelConfig) -> None:
        super().__init__()
        self.contrast_config, self.ranking_config, self.level_config = contrast, ranking, level
        self.log_slope = nn.Parameter(torch.tensor(float(level.slope)).log())
        self.level = nn.Parameter(torch.tensor(float(level.level)))

    def forward(self, model: SentenceModel, batch: Batch, relations_R3D: Tensor) -> LossParts:
        """Return the losses of a batch; ``relations_R3D`` holds the scaled blocks of all seen relations."""
        output: SentenceOutput = model(batch.input_ids, batch.attention_mask, batch.mentions, batch.pairs)
        scores_PR = pair_scores(output, batch.pairs, relations_R3D)
        zero = scores_PR.new_zeros(())
        negative_PR = batch.negative_PR
        if self.ranking_config.scope == "batch":
            negative_PR = negative_PR & batch.stated_PR.any(0)
        ranking = ranking_loss(scores_PR, batch.stated_PR, negative_PR, self.ranking_config)
        if weight := self.ranking_config.pair_weight:
            pairs = pair_loss(scores_PR, batch.stated_PR, batch.negative_PR, self.ranking_config.temperature)
            ranking = ranking + weight * pairs
        contrast = self._contrast(model, output, batch) if self.contrast_config.weight else zero
        reverse = zero
        if output.relation_logits_SR is not None:
            rows = len(batch.input_ids)
            stated_SR = scores_PR.new_zeros(rows, scores_PR.shape[1])
            row_P = batch.mentions[batch.pairs[:, 0], 0]
            stated_SR = stated_SR.index_add(0, row_P, batch.stated_PR.to(scores_PR.dtype)).clamp(max=1)
            reverse = reverse_loss(output.relation_logits_SR, stated_SR)
        level = zero
        if self.level_config.weight:
            slope = self.log_slope.exp()
            top_k = self.level_config.top_k
            level = level_loss(scores_PR, batch.stated_PR, batch.negative_PR, slope, self.level, top_k)
        total = ranking + self.contrast_config.weight * contrast + reverse + self.level_config.weight * level
        return LossParts(ranking, contrast, reverse, level, total)

    def _contrast(self, model: SentenceModel, output: SentenceOutput, batch: Batch) -> Tensor:
        """Return L^Ctr (Algorithm 2): two views of each stating context, through the linear layer, normalised."""
        config = self.contrast_config
        stating_P = batch.stated_PR.any(-1)
        if not stating_P.any():
            return output.contexts_PD.new_zeros(())
        if config.augmented == "contexts":
            contexts = output.contexts_PD[stating_P]
            views = [augment(contexts, view, config) for view in config.views]
        else:
            mask_ST = batch.attention_mask.bool()
            states = (augment(output.states_STD, view, config) for view in config.views)
            views = [model.contexts(each, mask_ST, batch.mentions, batch.pairs)[stating_P] for each in states]
        one, other = (F.normalize(model.contrast(view), dim=-1) for view in views)
        return contrastive_loss(one, other, batch.stated_PR[stating_P].int().argmax(-1), config)


def pair_scores(output: SentenceOutput, pairs: Tensor, relations_R3D: Tensor) -> Tensor:
    """Return f(X, p) of eq. 26, (P, R)."""
    mentions, contexts = output.mention_vectors_MD, output.context_vectors_PD
    head_MR, tail_MR = mentions @ relations_R3D[:, 0].T, mentions @ relations_R3D[:, 1].T
    return head_MR[pairs[:, 0]] + tail_MR[pairs[:, 1]] + contexts @ relations_R3D[:, 2].T
