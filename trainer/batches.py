"""Batches of rows of like length, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from zsre.relations.tokens import TokenRow, encoder_inputs
from zsre.trainer.data import PairSet

#: Rows are sorted by length within pools of this many batches: long enough to waste little on padding, short
#: enough to leave the order of the epoch random.
POOL = 50


@dataclass(frozen=True)
class Batch:
    """The inputs of the model and the targets of its pairs; bool (P, R) as in `PairSet`."""

    input_ids: Tensor
    attention_mask: Tensor
    mentions: Tensor
    pairs: Tensor
    stated_PR: Tensor
    negative_PR: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move every tensor; a no-op on the CPU."""
        return Batch(*(getattr(self, each.name).to(device, non_blocking=True) for each in fields(self)))

    def pinned(self) -> Batch:
        """Put every tensor where a GPU can fetch it by itself, while others work."""
        return Batch(*(getattr(self, each.name).pin_memory() for each in fields(self)))


def plan_epoch(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the row indices of each batch of an epoch.

    Rows are shuffled, sorted by length within pools, cut into batches, and the batches shuffled. Every row
    occurs once.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    batches: list[list[int]] = []
    pool_size = POOL * batch_size
    for begin in range(0, len(order), pool_size):
        pool = sorted(order[begin : begin + pool_size].tolist(), key=lambda row: lengths[row])
        batches.extend(pool[first : first + batch_size] for first in range(0, len(pool), batch_size))
    return [batches[index] for index in generator.permutation(len(batches))]


def make_batch(rows: Sequence[TokenRow], targets: PairSet, pad_id: int) -> Batch:
    """Pad rows and gather the targets of their pairs."""
    inputs = encoder_inputs(rows, pad_id)
    positions = [position for row in rows for position in row.pair_positions]
    return Batch(
        torch.from_numpy(inputs.input_ids),
        torch.from_numpy(inputs.attention_mask),
        torch.from_numpy(inputs.mentions),
        torch.from_numpy(inputs.pairs),
        torch.from_numpy(targets.stated[positions]),
        torch.from_numpy(targets.negative[positions]),
    )


def batches(rows: Sequence[TokenRow], targets: PairSet, pad_id: int, plan: Sequence[Sequence[int]]) -> Iterator[Batch]:
    """Yield the batches of a plan."""
    for chosen in plan:
        yield make_batch([rows[index] for index in chosen], targets, pad_id)


def one_ahead(made: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches, the next of which is made meanwhile in a thread of its own, so that no step waits for data.

    That pays on a GPU alone: on a CPU, the step has better use for the core.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="zsre-batch") as pool:
        coming = pool.submit(next, made, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, made, None)
            yield batch
