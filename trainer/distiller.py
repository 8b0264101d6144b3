"""The bidirectional semantic distiller (section 3.4): what to remove from a context, and what to select for it.

Shape suffixes: S rows, T tokens, M mentions, P pairs, K places for the pairs of a row, D width.

Everything that depends on a row alone is computed once for the row. The pairs of a row attend over it in one matrix
product, so no token state is copied per pair, and nothing of another row enters a pair's sums, not even their order.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

GaussianReading = Literal["position", "value"]
EPSILON = 1e-6
ROOM_STEP = 8


class ReverseGradient(torch.autograd.Function):
    """Identity forward, −λ times the gradient backward: GRL of eq. 12 (Ganin & Lempitsky, 2015)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, strength: float) -> Tensor:  # noqa: D102
        ctx.strength = strength  # type: ignore[attr-defined]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        return -ctx.strength * gradient, None  # type: ignore[attr-defined]


def reject(x: Tensor, direction: Tensor) -> Tensor:
    """Remove from ``x`` its projection onto ``direction`` (eqs. 10 and 14); a zero direction removes nothing."""
    scale = (x * direction).sum(-1, keepdim=True) / direction.pow(2).sum(-1, keepdim=True).clamp_min(EPSILON)
    return x - scale * direction


class FusionProjectionDistiller(nn.Module):
    """Finds the features of a row that are irrelevant to relations (eqs. 8–12); `reject` removes them (eq. 14).

    The query is one learned vector. Token states are detached, so that the reversed gradient trains the query
    and the classifier but never the encoder. Matching trains the query too, forwards and through h⁻.
    Without ``reverse_attention`` (eqs. 9–11), h⁻ is A_dot alone, as in RE-Matching (Zhao et al., 2023).
    """

    def __init__(
        self, width: int, seen_relations: int, reverse_strength: float, reverse_attention: bool = True
    ) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.classifier = nn.Linear(width, seen_relations)
        self.reverse_strength = reverse_strength
        self.reverse_attention = reverse_attention

    def forward(self, states_STD: Tensor, mask_ST: Tensor) -> tuple[Tensor, Tensor]:
        """Return the irrelevant features h⁻ (eq. 11) and A_dot (eq. 8) of every row, (S, D) each."""
        states_STD = states_STD.detach()
        weights_ST = (states_STD @ self.query).masked_fill(~mask_ST, float("-inf")).softmax(-1)
        dot_SD = torch.einsum("st,std->sd", weights_ST, states_STD)
        if not self.reverse_attention:
            return dot_SD, dot_SD
        # 1 − softmax would give padding the weight 1.
        inverse_ST = (1 - weights_ST) * mask_ST
        inverse_SD = torch.einsum("st,std->sd", inverse_ST, states_STD)
        return dot_SD + reject(inverse_SD, dot_SD), dot_SD

    def classify(self, dot_SD: Tensor) -> Tensor:
        """Return logits over the seen relations behind gradient reversal (eq. 12)."""
        reversed_SD: Tensor = ReverseGradient.apply(dot_SD, self.reverse_strength)  # type: ignore[no-untyped-call]
        logits: Tensor = self.classifier(reversed_SD)
        return logits


class GaussianAdaptiveSelector(nn.Module):
    """Selects the relevant features of a row for a context, by attention calibrated with a Gaussian (eqs. 15–22).

    Reading ``position``: the Gaussian lies over token positions, with μ their mean plus a learned offset and σ
    their spread about μ. The offset counts in lengths of the row: in tokens, it would hardly move at the
    learning rates of weights. Reading ``value``: it lies over the key values of each feature instead. Beyond eq. 15,
    logits are divided by √D, without which the softmax over trained projections saturates.
    """

    def __init__(self, width: int, reading: GaussianReading) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.offset = nn.Parameter(torch.zeros(1 if reading == "position" else width))
        self.reading = reading

    def gaussian(self, keys_STD: Tensor, mask_ST: Tensor) -> Tensor:
        """Return Ĝ (eqs. 16–20): (S, T, 1) over positions or (S, T, D) over key values; 0 on padding."""
        mask_ST1 = mask_ST.unsqueeze(-1).to(keys_STD.dtype)
        count_S11 = mask_ST1.sum(1, keepdim=True)
        if self.reading == "position":
            x_ST = torch.arange(keys_STD.shape[1], device=keys_STD.device, dtype=keys_STD.dtype)
            values = (x_ST.expand(mask_ST.shape)).unsqueeze(-1)
            offset = self.offset * count_S11
        else:
            values, offset = keys_STD, self.offset
        mean = (values * mask_ST1).sum(1, keepdim=True) / count_S11 + offset
        variance = ((values - mean).pow(2) * mask_ST1).sum(1, keepdim=True) / count_S11
        weights = torch.exp(-0.5 * (values - mean).pow(2) / variance.clamp_min(EPSILON)) * mask_ST1
        return weights / weights.sum(1, keepdim=True).clamp_min(EPSILON)

    def forward(self, states_STD: Tensor, mask_ST: Tensor, queries_PD: Tensor, row_P: Tensor) -> Tensor:
        """Return h̄₂ (P, D), the features selected for each pair from its row.

        ``queries_PD`` is ĥ; ``row_P`` the row of each pair.
        """
        keys_STD, values_STD = self.key(states_STD), self.value(states_STD)
        gaussian_STG = self.gaussian(keys_STD, mask_ST)
        place_P, room = places_in_rows(row_P, states_STD.shape[0])
        # K is room for the pairs of any row: what is left of it attends from zeros, whose results nobody reads.
        queries_SKD = states_STD.new_zeros(states_STD.shape[0], room, states_STD.shape[-1])
        queries_SKD = queries_SKD.index_put((row_P, place_P), self.query(queries_PD))
        logits_SKT = queries_SKD @ keys_STD.transpose(1, 2) * states_STD.shape[-1] ** -0.5
        weights_SKT = logits_SKT.masked_fill(~mask_ST[:, None], float("-inf")).softmax(-1)
        # The product of two distributions sums to about 1/n: renormalise by its own sum (eq. 21).
        sums_SKG = weights_SKT @ gaussian_STG
        selected_SKD: Tensor = weights_SKT @ (values_STD * gaussian_STG) / sums_SKG.clamp_min(EPSILON)
        return selected_SKD[row_P, place_P]


def places_in_rows(row_P: Tensor, rows: int) -> tuple[Tensor, int]:
    """Return each pair's place among the pairs of its row, counted from 0, and room for the most that a row has.

    The room is a multiple of `ROOM_STEP`: a product of one row takes another way through a CPU than one of many, and
    adds up in another order, so that a pair's vector would depend on how many pairs others have.
    """
    own_PS = row_P[:, None] == torch.arange(rows, device=row_P.device)
    place_P = own_PS.long().cumsum(0).gather(1, row_P[:, None])[:, 0] - 1
    # Rounded up as a tensor, and not made an int: exporting follows the one and not the other.
    rounded = (place_P.max() // ROOM_STEP + 1) * ROOM_STEP
    room: int = rounded.item()  # type: ignore[assignment]
    torch._check(room >= ROOM_STEP)  # type: ignore[no-untyped-call]
    return place_P, room
