"""The losses of SDZRE (eqs. 13, 24, 25, 27–29) and the one that teaches it to say nothing; all vectorised.

Shape suffixes: P pairs, R relations, D width, S rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from zsre.trainer.fields import STRICT, NonNegative, Number, Positive, PositiveFloat, Share

Augmentation = Literal["mask", "cutoff", "dropout"]
Augmented = Literal["contexts", "states"]
SameRelation = Literal["negative", "ignore", "positive"]
Negatives = Literal["ranked", "hard", "random", "softmax"]
FAR = -1e4


@dataclass(frozen=True)
class ContrastConfig:
    """Two views of a context, and how a batch's other examples of the same relation are treated.

    ``augmented`` is what views are made of: the distilled ``contexts``, or the token ``states`` before the distiller.
    """

    __pydantic_config__ = STRICT
    weight: NonNegative = 1.0
    views: tuple[Augmentation, Augmentation] = ("mask", "cutoff")
    augmented: Augmented = "contexts"
    mask: Share = 0.15
    cutoff: Share = 0.2
    dropout: Share = 0.1
    temperature: PositiveFloat = 0.05
    same_relation: SameRelation = "negative"


@dataclass(frozen=True)
class RankingConfig:
    """The marginal ranking loss: margins, k, and where negatives come from.

    ``negatives``: ``ranked`` is the paper's hard plus semi-hard, ``hard`` and ``random`` its ablations;
    ``softmax`` takes the place of margins. ``scope`` is ``batch`` (the other relations of the batch, as in the
    paper) or ``seen`` (all relations of the training set). ``pair_weight`` is that of `pair_loss`, which is not in the
    paper.
    """

    __pydantic_config__ = STRICT
    negatives: Negatives = "ranked"
    scope: Literal["batch", "seen"] = "batch"
    hard_margin: Number = 0.06
    semi_hard_margin: Number = 0.0
    top_k: Positive = 3
    temperature: PositiveFloat = 0.05
    pair_weight: NonNegative = 0.0


def augment(x: Tensor, kind: Augmentation, config: ContrastConfig) -> Tensor:
    """Return a view of each vector along the last axis (section 3.5.1).

    ``mask`` zeroes elements at random, ``cutoff`` a share of whole feature dimensions (the same for the batch),
    ``dropout`` is mask with rescaling.
    """
    if kind == "dropout":
        return F.dropout(x, config.dropout)
    if kind == "cutoff":
        return x * (torch.rand(x.shape[-1], device=x.device) >= config.cutoff)
    return x * (torch.rand_like(x) >= config.mask)


def contrastive_loss(one_PD: Tensor, other_PD: Tensor, relation_P: Tensor, config: ContrastConfig) -> Tensor:
    """Return InfoNCE between two normalised views (eqs. 24 and 25), averaged over the pairs.

    ``relation_P`` tells which pairs state the same relation; −1 stands for none and matches nothing.
    """
    logits_PP = one_PD @ other_PD.T / config.temperature
    own_PP = torch.eye(len(one_PD), dtype=torch.bool, device=one_PD.device)
    same_PP = (relation_P[:, None] == relation_P[None]) & (relation_P >= 0)[:, None]
    if config.same_relation == "ignore":
        logits_PP = logits_PP.masked_fill(same_PP & ~own_PP, FAR)
    log_probability_PP = logits_PP.log_softmax(-1)
    positive_PP = own_PP | same_PP if config.same_relation == "positive" else own_PP
    return -((log_probability_PP * positive_PP).sum(-1) / positive_PP.sum(-1)).mean()


def reverse_loss(logits_SR: Tensor, stated_SR: Tensor) -> Tensor:
    """Return L^Rev (eq. 13): cross-entropy of the classifier behind gradient reversal.

    ``stated_SR`` marks the relations that a row states; rows that state none count for nothing, and a row
    that states several spreads its target evenly.
    """
    totals_S = stated_SR.sum(-1)
    target_SR = stated_SR / totals_S.clamp_min(1)[:, None]
    losses_S = -(target_SR * logits_SR.log_softmax(-1)).sum(-1)
    return losses_S.sum() / (totals_S > 0).sum().clamp_min(1)


def ranking_loss(scores_PR: Tensor, stated_PR: Tensor, negative_PR: Tensor, config: RankingConfig) -> Tensor:
    """Return L^Mr (eqs. 27–29), averaged over the pairs that state a relation.

    ``negative_PR`` marks the relations that may serve as a pair's negatives. The positive score of a pair
    that states several relations is the lowest of theirs.
    """
    has_positive_P = stated_PR.any(-1)
    positive_P = scores_PR.masked_fill(~stated_PR, -FAR).amin(-1)
    negative_scores_PR = scores_PR.masked_fill(~negative_PR, FAR)
    if config.negatives == "softmax":
        joined = torch.cat([positive_P[:, None], negative_scores_PR], 1) / config.temperature
        losses_P = -joined.log_softmax(-1)[:, 0]
    elif config.negatives == "random":
        lottery_PR = torch.rand_like(scores_PR).masked_fill(~negative_PR, -1)
        drawn_P = negative_scores_PR.gather(1, lottery_PR.argmax(-1, keepdim=True))[:, 0]
        losses_P = F.relu(drawn_P - positive_P + config.hard_margin)
    else:
        count = min(config.top_k + 1, scores_PR.shape[1])
        ranked_PK = negative_scores_PR.topk(count, -1).values
        losses_P = F.relu(ranked_PK[:, 0] - positive_P + config.hard_margin)
        if config.negatives == "ranked":
            losses_P = losses_P + F.relu(ranked_PK[:, -1] - positive_P + config.semi_hard_margin)
    losses_P = torch.where(has_positive_P, losses_P, torch.zeros_like(losses_P))
    return losses_P.sum() / has_positive_P.sum().clamp_min(1)


def pair_loss(scores_PR: Tensor, stated_PR: Tensor, negative_PR: Tensor, temperature: float) -> Tensor:
    """Return the softmax of each stated relation over the batch's pairs, averaged over all that is stated.

    Not in the paper, whose losses compare the relations of a pair: this compares the pairs of a relation, so that it
    is those that state it which score highest, above all within a sentence. ``negative_PR`` marks the pairs that
    compete for a relation; others that state it do not.
    """
    logits_PR = scores_PR / temperature
    rivals_R = logits_PR.masked_fill(~negative_PR, FAR).logsumexp(0)
    losses = F.softplus((rivals_R - logits_PR)[stated_PR])
    return losses.sum() / max(1, losses.numel())


def level_loss(
    scores_PR: Tensor, stated_PR: Tensor, negative_PR: Tensor, slope: Tensor, level: Tensor, top_k: int
) -> Tensor:
    """Return binary cross-entropy of σ(slope·(score − level)) for stated relations and each pair's hardest negatives.

    Not in the paper, which always answers with some relation: it gives similarities a common level, below
    which nothing is stated. Only the ``top_k`` highest negatives of a pair count, as the easy ones
    would drown the rest; positives and negatives weigh the same in sum.
    """
    logits_PR = slope * (scores_PR - level)
    positive = F.softplus(-logits_PR[stated_PR])
    hardest_PK = logits_PR.masked_fill(~negative_PR, FAR).topk(min(top_k, scores_PR.shape[1]), -1).values
    negative = F.softplus(hardest_PK[hardest_PK > FAR / 2])
    return positive.sum() / max(1, positive.numel()) + negative.sum() / max(1, negative.numel())
