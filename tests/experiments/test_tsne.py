"""Fig. 8, of a tiny run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments import __main__ as command
from experiments import tsne
from experiments.run import Places
from zsre.relations.errors import DataError
from zsre.relations.vectors import PairVectors
from zsre.trainer.checkpoint import read_run_config
from zsre.trainer.config import TrainConfig


def test_the_unseen_relations_of_a_run_are_drawn_before_and_after_training(
    tiny_runs: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn = {}

    def keep(panels: object, names: object, config: object, path: Path) -> None:
        drawn["panels"] = panels
        plot(panels, names, config, path)  # type: ignore[arg-type]

    plot = tsne.plot
    monkeypatch.setattr(tsne, "plot", keep)
    assert command.main(["--tsne", str(tiny_runs("shared"))], Places(tmp_path / "runs", tmp_path / "results")) == 0
    path = tmp_path / "results" / "figures" / "tsne-shared.png"
    assert capsys.readouterr().out == f"{path}\n" and path.read_bytes().startswith(b"\x89PNG")
    (before, gold), (after, same) = drawn["panels"]  # type: ignore[misc]
    assert before.shape == after.shape == (40, 2) and not np.allclose(before, after)
    # The split's only test relation.
    assert gold == same == ["singer"] * 40


def test_pair_vectors_are_head_tail_and_context() -> None:
    mentions = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float16)
    contexts = np.array([[7, 8], [9, 0]], dtype=np.float16)
    pairs = np.array([[2, 0], [0, 1]])
    vectors = PairVectors(mentions, contexts, pairs, np.arange(2))
    assert tsne.pair_vectors(vectors).tolist() == [[5, 6, 1, 2, 7, 8], [1, 2, 3, 4, 9, 0]]


def test_points_are_the_same_each_time() -> None:
    vectors = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)
    assert np.array_equal(tsne.in_two_dimensions(vectors, 13), tsne.in_two_dimensions(vectors, 13))


def test_an_untrained_model_is_the_same_each_time(tiny_runs: Callable[[str], Path]) -> None:
    config = read_run_config(tiny_runs("shared"))
    first, second = (tsne.untrained_model(config, 4).state_dict() for _ in range(2))
    assert all(first[name].equal(second[name]) for name in first)


def test_a_run_without_a_split_has_no_unseen_relations(tiny_config: Callable[..., TrainConfig]) -> None:
    with pytest.raises(DataError, match="tiny: was trained without a split, so nothing says which relations are"):
        tsne.unseen_pairs(tiny_config(split=None))
