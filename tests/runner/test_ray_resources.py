"""All workers have room on the machines of a cluster, whatever these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.runner.ray_resources import machine_room, worker_resources

NODES = st.lists(st.tuples(st.integers(0, 130), st.integers(0, 9)), max_size=6)


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([(16, 0)], None, (8, {"num_cpus": 2})),
        ([(1, 0)], None, (1, {"num_cpus": 1})),
        ([(16, 0)], 4, (4, {"num_cpus": 4})),
        ([(2, 0)], 2, (2, {"num_cpus": 1})),
        ([(64, 8)], None, (8, {"num_cpus": 8, "num_gpus": 1})),
        ([(64, 8)], 16, (16, {"num_cpus": 4, "num_gpus": 0.5})),
        ([(64, 8)], 4, (4, {"num_cpus": 16, "num_gpus": 1})),
        ([(32, 0), (64, 8)], None, (8, {"num_cpus": 8, "num_gpus": 1})),
        ([(8, 8), (64, 4)], None, (12, {"num_cpus": 1, "num_gpus": 1})),
        ([(64, 8), (0, 8)], None, (8, {"num_cpus": 8, "num_gpus": 1})),
        ([(2, 4)], None, (4, {"num_cpus": 0.5, "num_gpus": 1})),
        ([(8, 2)], 3, (3, {"num_cpus": 2.6666, "num_gpus": 0.5})),
        ([(6, 1)], 3, (3, {"num_cpus": 2, "num_gpus": 0.3333})),
        ([(3, 0), (3, 0)], None, (2, {"num_cpus": 2})),
        ([(3, 0), (3, 0)], 3, (3, {"num_cpus": 1.5})),
        ([(1, 0), (1, 0)], None, (2, {"num_cpus": 1})),
        ([(16, 0), (1, 0)], None, (8, {"num_cpus": 2})),
        ([(4, 0)], 8, (8, {"num_cpus": 0.5})),
        ([(12, 0), (4, 0)], 4, (4, {"num_cpus": 4})),
        ([(0, 0)], None, (1, {"num_cpus": 1})),
        ([], 3, (3, {"num_cpus": 1})),
    ],
)
def test_workers_share_what_the_cluster_has(
    nodes: Sequence[tuple[float, float]], workers: int | None, expected: tuple[int, Mapping[str, float]]
) -> None:
    assert worker_resources(nodes, workers) == expected


@pytest.mark.parametrize(("device", "expected"), [("cpu", (64, 0)), ("auto", (64, 8)), ("cuda", (64, 8))])
def test_a_run_on_cpus_asks_for_no_gpu(device: str, expected: tuple[float, float]) -> None:
    assert machine_room({"CPU": 64, "GPU": 8, "memory": 1e9}, device) == expected
    assert machine_room({"memory": 1e9}, device) == (0, 0)


@given(NODES.filter(lambda nodes: any(cpus for cpus, _ in nodes)), st.none() | st.integers(1, 60))
def test_all_workers_have_room_at_the_same_time(nodes: list[tuple[int, int]], workers: int | None) -> None:
    count, needs = worker_resources(nodes, workers)
    assert count == (workers or count) >= 1
    assert sum(_taken(node, needs) for node in nodes) >= count


@given(NODES.filter(lambda nodes: any(cpus for cpus, _ in nodes)), st.integers(1, 60))
def test_workers_of_a_given_number_get_all_that_they_can(nodes: list[tuple[int, int]], workers: int) -> None:
    count, needs = worker_resources(nodes, workers)
    more = {**needs, "num_cpus": needs["num_cpus"] + 0.0002}
    assert sum(_taken(node, more) for node in nodes) < count


def _taken(node: tuple[int, int], needs: Mapping[str, float]) -> int:
    """Return how many workers Ray places on a machine: it counts in ten-thousandths, and divides no worker."""
    cpus, gpus = node
    taken = cpus * 10_000 // round(needs["num_cpus"] * 10_000)
    if "num_gpus" in needs:
        taken = min(taken, gpus * (10_000 // round(needs["num_gpus"] * 10_000)))
    return taken
