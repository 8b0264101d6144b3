from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.tokens import TokenRow
from zsre.relations.vectors import PairSentence
from zsre.trainer import batches
from zsre.trainer.batches import POOL, make_batch, plan_epoch
from zsre.trainer.data import PairSet

LENGTHS = st.lists(st.integers(2, 60), max_size=300)
SEEDS = st.integers(0, 2**32 - 1)


@given(LENGTHS, st.integers(1, 40), SEEDS, st.integers(0, 5))
def test_every_row_occurs_once_in_batches_of_the_size(lengths: list[int], size: int, seed: int, epoch: int) -> None:
    plan = plan_epoch(lengths, size, seed, epoch)
    assert sorted(row for batch in plan for row in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in plan)
    # Training counts its steps by this.
    assert len(plan) == -(-len(lengths) // size)


@given(LENGTHS, SEEDS)
def test_a_plan_depends_on_seed_and_epoch_alone(lengths: list[int], seed: int) -> None:
    np.random.seed(seed)
    torch.manual_seed(seed)
    first = plan_epoch(lengths, 8, 13, 1)
    np.random.seed(seed // 2 + 1)
    torch.manual_seed(seed // 2 + 1)
    assert plan_epoch(lengths, 8, 13, 1) == first


def test_epochs_and_seeds_differ() -> None:
    lengths = list(range(64))
    plans = [plan_epoch(lengths, 8, seed, epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert plans[0] != plans[1] and plans[0] != plans[2]


@given(st.lists(st.integers(2, 60), min_size=1, max_size=POOL * 4), SEEDS)
def test_rows_of_like_length_come_together(lengths: list[int], seed: int) -> None:
    """Within a pool, which these rows fit into, the batches cut a sorted list."""
    plan = plan_epoch(lengths, 4, seed, 0)
    ranges = sorted((min(lengths[row] for row in batch), max(lengths[row] for row in batch)) for batch in plan)
    assert all(one[1] <= other[0] for one, other in pairwise(ranges))


def _rows_and_targets() -> tuple[list[TokenRow], PairSet]:
    rows = [
        TokenRow((1, 5, 6, 2), ((1, 2), (2, 3)), ((0, 1), (1, 0)), (0, 1)),
        TokenRow((1, 7, 2), ((1, 2),), (), ()),
        TokenRow((1, 8, 9, 8, 9, 2), ((1, 3), (3, 5)), ((1, 0),), (3,)),
    ]
    stated = np.eye(4, dtype=np.bool_)
    return rows, PairSet(("a", "b", "c", "d"), (PairSentence("", (), ()),), stated, ~stated, {})


def test_a_batch_is_padded_and_its_pairs_find_their_targets() -> None:
    rows, targets = _rows_and_targets()

    batch = make_batch([rows[2], rows[0]], targets, pad_id=99)

    assert batch.input_ids.tolist() == [[1, 8, 9, 8, 9, 2], [1, 5, 6, 2, 99, 99]]
    assert batch.attention_mask.tolist() == [[1] * 6, [1] * 4 + [0] * 2]
    assert batch.mentions.tolist() == [[0, 1, 3], [0, 3, 5], [1, 1, 2], [1, 2, 3]]
    assert batch.pairs.tolist() == [[1, 0], [2, 3], [3, 2]]
    # Position 2 was left out when the text became tokens.
    assert batch.stated_PR.int().argmax(-1).tolist() == [3, 0, 1]
    assert torch.equal(batch.negative_PR, ~batch.stated_PR)


def test_batches_follow_the_plan() -> None:
    rows, targets = _rows_and_targets()
    made = list(batches.batches(rows, targets, 0, [[2], [0, 1]]))
    assert [len(batch.input_ids) for batch in made] == [1, 2]
    moved = made[1].to(torch.device("meta"))
    assert all(getattr(moved, name).device.type == "meta" for name in moved.__dataclass_fields__)


def test_the_next_batch_is_made_while_one_is_worked_on() -> None:
    batch = batches.Batch(*(torch.zeros(1) for _ in range(6)))
    asked = [threading.Event() for _ in range(3)]

    def made() -> Iterator[batches.Batch]:
        for event in asked:
            event.set()
            yield batch
        raise ValueError("broken off")

    coming = batches.one_ahead(made())
    for following in (*asked[1:], None):
        assert next(coming) is batch
        assert following is None or following.wait(5)
    with pytest.raises(ValueError, match="broken off"):
        next(coming)
