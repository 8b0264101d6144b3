from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.trainer import paper
from zsre.trainer.distiller import (
    FusionProjectionDistiller,
    GaussianAdaptiveSelector,
    GaussianReading,
    ReverseGradient,
    reject,
)
from zsre.trainer.losses import reverse_loss

WIDTH = 8
LENGTHS = (5, 3, 1)
READINGS: tuple[GaussianReading, ...] = ("position", "value")


def _numpy(tensor: torch.Tensor) -> paper.Array:
    return tensor.detach().double().numpy()


def _rows(extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of 5, 3 and 1 tokens; what stands in the padding is noise, as it is behind an encoder."""
    torch.manual_seed(1)
    states = torch.randn(len(LENGTHS), max(LENGTHS), WIDTH)
    states = torch.cat([states, 3 * torch.randn(len(LENGTHS), extra, WIDTH)], 1)
    return states, torch.arange(states.shape[1])[None] < torch.tensor(LENGTHS)[:, None]


def _selector(reading: GaussianReading) -> GaussianAdaptiveSelector:
    torch.manual_seed(2)
    selector = GaussianAdaptiveSelector(WIDTH, reading)
    torch.nn.init.normal_(selector.offset, std=0.1 if reading == "position" else 0.7)
    return selector


def _projection(strength: float = 0.5, reverse_attention: bool = True) -> FusionProjectionDistiller:
    torch.manual_seed(3)
    return FusionProjectionDistiller(WIDTH, 4, strength, reverse_attention)


def test_reverse_gradient_is_the_identity_forward_and_minus_lambda_backward() -> None:
    x = torch.randn(3, WIDTH, requires_grad=True)
    weights = torch.randn(3, WIDTH)

    y = ReverseGradient.apply(x, 0.3)
    (y * weights).sum().backward()

    torch.testing.assert_close(y, x)
    torch.testing.assert_close(x.grad, -0.3 * weights)


def test_reject_is_equation_10() -> None:
    torch.manual_seed(0)
    x, direction = torch.randn(6, WIDTH), torch.randn(6, WIDTH)

    found = _numpy(reject(x, direction))

    for row in range(6):
        expected = paper.without_direction(_numpy(x[row]), _numpy(direction[row]))
        np.testing.assert_allclose(found[row], expected, atol=1e-5)
    np.testing.assert_allclose((found * _numpy(direction)).sum(-1), 0, atol=1e-5)


def test_a_zero_direction_removes_nothing_and_has_a_finite_gradient() -> None:
    x = torch.randn(2, WIDTH, requires_grad=True)
    direction = torch.zeros(2, WIDTH, requires_grad=True)

    kept = reject(x, direction)
    kept.sum().backward()

    torch.testing.assert_close(kept, x)
    assert direction.grad is not None and torch.isfinite(direction.grad).all()


def test_irrelevant_features_are_equations_8_to_11() -> None:
    states, mask = _rows()
    distiller = _projection()

    irrelevant, dot = distiller(states, mask)

    query = _numpy(distiller.query)
    for row, length in enumerate(LENGTHS):
        own = _numpy(states[row, :length])
        np.testing.assert_allclose(_numpy(dot[row]), paper.attended(query, own), atol=1e-5)
        np.testing.assert_allclose(_numpy(irrelevant[row]), paper.irrelevant(query, own), atol=1e-5)


def test_without_reverse_attention_what_the_query_finds_is_irrelevant() -> None:
    """RE-Matching's projection."""
    states, mask = _rows()

    irrelevant, dot = _projection(reverse_attention=False)(states, mask)

    torch.testing.assert_close(irrelevant, dot)
    torch.testing.assert_close(dot, _projection()(states, mask)[1])


def test_projection_removes_irrelevant_features_as_equation_14() -> None:
    states, mask = _rows()
    distiller = _projection()
    context = torch.randn(len(LENGTHS), WIDTH)

    removed = reject(context, distiller(states, mask)[0])

    query = _numpy(distiller.query)
    for row, length in enumerate(LENGTHS):
        direction = paper.irrelevant(query, _numpy(states[row, :length]))
        expected = paper.without_direction(_numpy(context[row]), direction)
        np.testing.assert_allclose(_numpy(removed[row]), expected, atol=1e-5)


def test_classifier_is_equation_12() -> None:
    distiller = _projection()
    dot = torch.randn(3, WIDTH)
    weights = {name: _numpy(parameter) for name, parameter in distiller.named_parameters()}
    expected = paper.linear(_numpy(dot), weights, "classifier")
    np.testing.assert_allclose(_numpy(distiller.classify(dot)), expected, atol=1e-5)


def test_classifier_trains_itself_forward_the_query_reversed_and_the_encoder_not_at_all() -> None:
    states, mask = _rows()
    states.requires_grad_()
    target = torch.tensor([0, 1, 2])
    gradients = {}
    # With λ = −1 the reversal is undone, which gives the gradient that plain training would have.
    for strength in (0.5, -1.0):
        distiller = _projection(strength)
        _, dot = distiller(states, mask)
        torch.nn.functional.cross_entropy(distiller.classify(dot), target).backward()
        gradients[strength] = {name: parameter.grad for name, parameter in distiller.named_parameters()}

    torch.testing.assert_close(gradients[0.5]["query"], -0.5 * gradients[-1.0]["query"])
    assert gradients[0.5]["query"].abs().sum() > 0
    torch.testing.assert_close(gradients[0.5]["classifier.weight"], gradients[-1.0]["classifier.weight"])
    assert states.grad is None


def test_the_reversed_gradient_of_the_query_is_minus_lambda_times_the_slope_of_equation_13() -> None:
    states, mask = _rows()
    distiller = _projection(strength=0.3)
    relations = [0, 3, 1]
    stated = torch.nn.functional.one_hot(torch.tensor(relations), 4).float()
    reverse_loss(distiller.classify(distiller(states, mask)[1]), stated).backward()
    weights = {name: _numpy(parameter) for name, parameter in distiller.named_parameters()}

    def loss(query: paper.Array) -> float:
        own = [_numpy(states[row, :length]) for row, length in enumerate(LENGTHS)]
        dots = np.stack([paper.attended(query, tokens) for tokens in own])
        return paper.reverse_loss(paper.linear(dots, weights, "classifier"), relations)

    slope = paper.slope(loss, weights["query"])
    assert distiller.query.grad is not None and np.abs(slope).max() > 1e-3
    np.testing.assert_allclose(_numpy(distiller.query.grad), -0.3 * slope, rtol=1e-3, atol=1e-6)


def test_what_is_removed_teaches_the_query_forwards_and_the_encoder_nothing() -> None:
    states, mask = _rows()
    states.requires_grad_()
    distiller = _projection()
    context, target = torch.randn(2, len(LENGTHS), WIDTH)

    (reject(context, distiller(states, mask)[0]) * target).sum().backward()

    def matched(query: paper.Array) -> float:
        directions = [paper.irrelevant(query, _numpy(states[row, :length])) for row, length in enumerate(LENGTHS)]
        rows = zip(_numpy(context), directions, _numpy(target), strict=True)
        return float(sum(paper.without_direction(x, direction) @ wanted for x, direction, wanted in rows))

    slope = paper.slope(matched, _numpy(distiller.query))
    assert distiller.query.grad is not None and np.abs(slope).max() > 1e-3
    np.testing.assert_allclose(_numpy(distiller.query.grad), slope, rtol=1e-3, atol=1e-4)
    assert states.grad is None


def test_position_gaussian_is_equations_16_to_20() -> None:
    states, mask = _rows()
    selector = _selector("position")

    found = _numpy(selector.gaussian(states, mask))

    assert found.shape == (len(LENGTHS), max(LENGTHS), 1)
    for row, length in enumerate(LENGTHS):
        expected = paper.position_gaussian(length, float(selector.offset.detach()))
        np.testing.assert_allclose(found[row, :length, 0], expected, atol=1e-5)
        assert (found[row, length:] == 0).all()


def test_the_offset_moves_the_gaussian_by_its_share_of_the_row() -> None:
    states, mask = _rows()
    selector = _selector("position")
    torch.nn.init.constant_(selector.offset, 0.25)
    for row, length in enumerate(LENGTHS):
        peak = int(selector.gaussian(states, mask)[row].argmax())
        assert abs(peak - ((length - 1) / 2 + 0.25 * length)) <= 1


def test_value_gaussian_is_equations_16_to_20() -> None:
    states, mask = _rows()
    selector = _selector("value")

    found = _numpy(selector.gaussian(states, mask))

    assert found.shape == (len(LENGTHS), max(LENGTHS), WIDTH)
    for row, length in enumerate(LENGTHS):
        expected = paper.value_gaussian(_numpy(states[row, :length]), _numpy(selector.offset))
        np.testing.assert_allclose(found[row, :length], expected, atol=1e-5)
        assert (found[row, length:] == 0).all()


@pytest.mark.parametrize("reading", READINGS)
def test_one_token_without_spread_gets_all_the_weight(reading: GaussianReading) -> None:
    selector = GaussianAdaptiveSelector(WIDTH, reading)
    weights = selector.gaussian(torch.randn(1, 1, WIDTH), torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(weights, torch.ones_like(weights))


@pytest.mark.parametrize("reading", READINGS)
def test_selected_features_are_equations_15_21_and_22(reading: GaussianReading) -> None:
    states, mask = _rows()
    selector = _selector(reading)
    row_of = torch.tensor([1, 0, 0, 2])
    contexts = torch.randn(4, WIDTH)

    found = _numpy(selector(states, mask, contexts, row_of))

    for pair, row in enumerate(row_of.tolist()):
        own = states[row, : LENGTHS[row]]
        keys, values = _numpy(selector.key(own)), _numpy(selector.value(own))
        query = _numpy(selector.query(contexts[pair]))
        if reading == "position":
            gaussian = paper.position_gaussian(len(own), float(selector.offset.detach()))
        else:
            gaussian = paper.value_gaussian(keys, _numpy(selector.offset))
        np.testing.assert_allclose(found[pair], paper.selected(query, keys, values, gaussian), atol=1e-5)


@pytest.mark.parametrize("reading", READINGS)
def test_a_longer_batch_changes_nothing(reading: GaussianReading) -> None:
    selector, distiller = _selector(reading), _projection()
    contexts, row_of = torch.randn(3, WIDTH), torch.tensor([0, 1, 2])
    states, mask = _rows()
    longer, longer_mask = _rows(extra=9)
    assert torch.equal(longer[:, : max(LENGTHS)], states)

    with torch.no_grad():
        for short, long in (
            (distiller(states, mask)[0], distiller(longer, longer_mask)[0]),
            (selector(states, mask, contexts, row_of), selector(longer, longer_mask, contexts, row_of)),
        ):
            torch.testing.assert_close(short, long, atol=1e-5, rtol=0)


@pytest.mark.parametrize("reading", READINGS)
def test_a_pair_attends_to_its_own_row_alone(reading: GaussianReading) -> None:
    selector = _selector(reading)
    states, mask = _rows()
    states.requires_grad_()

    selector(states, mask, torch.randn(1, WIDTH), torch.tensor([1])).sum().backward()

    assert states.grad is not None
    touched = states.grad.abs().sum(-1) > 0
    assert touched[1, : LENGTHS[1]].all()
    assert not touched[0].any() and not touched[2].any() and not touched[1, LENGTHS[1] :].any()
