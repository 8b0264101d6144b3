"""SDZRE's sentence side: from token rows, mentions and pairs to mention and context vectors (eqs. 1–4, 8–23).

Shape suffixes: S rows, T tokens, M mentions, P pairs, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from zsre.relations.tokens import Pairing
from zsre.relations.vectors import block_scales
from zsre.trainer.distiller import FusionProjectionDistiller, GaussianAdaptiveSelector, GaussianReading, reject
from zsre.trainer.fields import STRICT, NonNegative, Number

DistillerParts = Literal["both", "projection", "gaussian", "none"]
EntityPooling = Literal["weight", "max"]


@dataclass(frozen=True)
class ModelConfig:
    """What shapes the model beyond its encoder.

    ``distiller`` serves the ablations; ``entity_pooling`` and ``reverse_attention`` make the baseline, RE-Matching.
    ``interaction`` adds a `PairInteraction` to ĥ, which is not in the paper.
    """

    __pydantic_config__ = STRICT
    pairing: Pairing = "shared"
    alpha: Annotated[Number, Field(ge=0, le=0.5)] = 0.33
    distiller: DistillerParts = "both"
    gaussian: GaussianReading = "position"
    entity_pooling: EntityPooling = "weight"
    reverse_strength: NonNegative = 0.5
    reverse_attention: bool = True
    interaction: bool = False


@dataclass(frozen=True)
class SentenceOutput:
    """What one forward pass gives; the vectors are normalised and scaled, so that a score is one dot product.

    ``contexts_PD`` is h̄ before tanh and normalisation and ``states_STD`` the encoder's states, for the contrastive
    loss; ``relation_logits_SR`` is the classifier behind gradient reversal, one row per sentence row, and None
    without the projection.
    """

    mention_vectors_MD: Tensor
    context_vectors_PD: Tensor
    contexts_PD: Tensor
    states_STD: Tensor
    relation_logits_SR: Tensor | None


class WeightPooling(nn.Module):
    """Pool the tokens of a span with learned weights (eqs. 2 and 3; scores as in Lin et al., 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Parameter(torch.zeros(width))

    def forward(self, states_STD: Tensor, row_M: Tensor, inside_MT: Tensor) -> Tensor:
        """Return (M, D) from token states, each mention's row, and a mask of its own tokens there."""
        scores_ST = torch.tanh(self.hidden(states_STD)) @ self.score
        weights_MT = scores_ST[row_M].masked_fill(~inside_MT, float("-inf")).softmax(-1)
        return torch.bmm(weights_MT[:, None], states_STD[row_M])[:, 0]


class PairInteraction(nn.Module):
    """What two ends mean together: a perceptron with one hidden layer, which begins as nothing.

    Eqs. 4 and 14 make ĥ a sum of what head and tail bring alone. Markers make up for that, as the encoder then knows
    which pair is asked for; with shared pairing, ĥ cannot tell who of two couples in a sentence belong together.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, ends_PE: Tensor) -> Tensor:
        """Return (P, D) from the joined states of head and tail, (P, 2·D)."""
        added: Tensor = self.out(F.gelu(self.hidden(ends_PE)))
        return added


class SentenceModel(nn.Module):
    """Encoder, entity pooling, context layer and distiller behind the signature of the exported graph.

    ``context`` is the fully connected layer that makes ĥ (eq. 14) of the joined marker states (eq. 4).
    """

    def __init__(self, encoder: PreTrainedModel, config: ModelConfig, seen_relations: int) -> None:
        super().__init__()
        width = int(encoder.config.hidden_size)
        self.config = config
        self.encoder = encoder
        #: Only the encoder runs in bf16, and only in training: margins of 0.06 drown in bf16 similarities.
        self.bf16_encoder = False
        self.context = nn.Linear(2 * width, width)
        self.interaction = PairInteraction(width) if config.interaction else None
        self.pooling = WeightPooling(width) if config.entity_pooling == "weight" else None
        self.projection = (
            FusionProjectionDistiller(width, seen_relations, config.reverse_strength, config.reverse_attention)
            if config.distiller in ("both", "projection")
            else None
        )
        self.selector = (
            GaussianAdaptiveSelector(width, config.gaussian) if config.distiller in ("both", "gaussian") else None
        )
        # The projection head of the contrastive loss (Algorithm 2); training only.
        self.contrast = nn.Linear(width, width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, mentions: Tensor, pairs: Tensor) -> SentenceOutput:
        """Encode rows.

        ``input_ids`` and ``attention_mask`` are (S, T); ``mentions`` is (M, 3): row, start, end (exclusive);
        ``pairs`` is (P, 2): head mention, tail mention. All int64. Vectors go through tanh before the cosine of
        eq. 26, which the paper does not write.
        """
        states_STD = self.token_states(input_ids, attention_mask)
        mask_ST = attention_mask.bool()
        entity_MD = self.entities(states_STD, mentions)
        context_PD, logits_SR = self._contexts(states_STD, mask_ST, mentions, pairs)
        entity_scale, _, context_scale = block_scales(self.config.alpha)
        return SentenceOutput(
            mention_vectors_MD=entity_scale * F.normalize(torch.tanh(entity_MD), dim=-1),
            context_vectors_PD=context_scale * F.normalize(torch.tanh(context_PD), dim=-1),
            contexts_PD=context_PD,
            states_STD=states_STD,
            relation_logits_SR=logits_SR,
        )

    def contexts(self, states_STD: Tensor, mask_ST: Tensor, mentions: Tensor, pairs: Tensor) -> Tensor:
        """Return h̄ of each pair (eqs. 4, 8–23), (P, D), from token states."""
        return self._contexts(states_STD, mask_ST, mentions, pairs)[0]

    def _contexts(
        self, states_STD: Tensor, mask_ST: Tensor, mentions: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return h̄ and the reversed classifier's logits."""
        ends_PE = self.ends(states_STD, mentions)[pairs].flatten(1)
        hidden_PD = self.context(ends_PE)
        if self.interaction is not None:
            hidden_PD = hidden_PD + self.interaction(ends_PE)
        return self.distil(states_STD, mask_ST, hidden_PD, mentions[pairs[:, 0], 0])

    def token_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the encoder's states (eq. 1), (S, T, D) in float32 whatever it computes in."""
        if not self.bf16_encoder:
            states: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return states
        with torch.autocast(input_ids.device.type, dtype=torch.bfloat16):
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states.float()

    def entities(self, states_STD: Tensor, mentions: Tensor) -> Tensor:
        """Return the entity vectors of eqs. 2 and 3, (M, D)."""
        row, start, end = mentions.unbind(-1)
        position_T = torch.arange(states_STD.shape[1], device=states_STD.device)
        inside_MT = (position_T >= start[:, None]) & (position_T < end[:, None])
        if self.pooling is not None:
            pooled: Tensor = self.pooling(states_STD, row, inside_MT)
            return pooled
        return states_STD[row].masked_fill(~inside_MT[..., None], float("-inf")).amax(1)

    def ends(self, states_STD: Tensor, mentions: Tensor) -> Tensor:
        """Return the state that stands for each mention in its context (eq. 4), (M, D): its opening marker.

        With shared pairing there are no markers, and the first token of the span stands in.
        """
        row, start, _ = mentions.unbind(-1)
        return states_STD[row, start - (1 if self.config.pairing == "marked" else 0)]

    def distil(
        self, states_STD: Tensor, mask_ST: Tensor, hidden_PD: Tensor, row_P: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return h̄ = h̄₁ + h̄₂ (eq. 23), (P, D), and the reversed classifier's logits."""
        parts: list[Tensor] = []
        logits_SR = None
        if self.projection is not None:
            irrelevant_SD, dot_SD = self.projection(states_STD, mask_ST)
            parts.append(reject(hidden_PD, irrelevant_SD[row_P]))
            logits_SR = self.projection.classify(dot_SD)
        if self.selector is not None:
            parts.append(self.selector(states_STD, mask_ST, hidden_PD, row_P))
        return (torch.stack(parts).sum(0) if parts else hidden_PD), logits_SR
