from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge

from zsre.relations.errors import ModelError
from zsre.trainer.checkpoint import CONFIG
from zsre.trainer.config import AdapterConfig, TextConfig
from zsre.trainer.relation_adapter import ADAPTER, RelationAdapter, fit_adapter, read_adapter, write_adapter
from zsre.trainer.relation_table import RelationEncoder, RelationTable
from zsre.trainer.setup import load_texts
from zsre.trainer.trained_run import load_run

WIDTH = 8


def _unit(array: NDArray[np.float64]) -> NDArray[np.float64]:
    length: NDArray[np.float64] = np.linalg.norm(array, axis=-1, keepdims=True)
    return array / length


def _table(kinds: int = 2, versions: int = 3, relations: int = 5, seed: int = 0) -> RelationTable:
    blocks = np.random.default_rng(seed).normal(size=(kinds, versions, relations, 3, WIDTH))
    counts = torch.full((relations,), versions)
    return RelationTable(tuple("abcde"[:relations]), torch.from_numpy(_unit(blocks) * 0.6).float(), counts)


def _given(table: RelationTable) -> NDArray[np.float32]:
    """Return what is known, (N, 3, D), normalised."""
    return _unit(table.phrasings.double().numpy()).reshape(-1, 3, WIDTH).astype(np.float32)


def _closeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float((one * other).sum(-1).mean())


def test_the_moves_are_those_of_kernel_ridge_regression() -> None:
    table, config = _table(), AdapterConfig(ridge=0.1, width=0.5)
    targets = table.phrasings[0, 0]
    given = _given(table).reshape(-1, 3 * WIDTH)
    wanted = np.broadcast_to(_unit(targets.double().numpy()), table.phrasings.shape).reshape(-1, 3 * WIDTH)
    other = _given(_table(seed=1)).reshape(-1, 3 * WIDTH)
    expected = other.copy()
    regression = KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / (3 * 2 * 0.5))  # |u − v|² is 2 − 2·cos of each part
    expected += regression.fit(given, wanted - given).predict(other)

    adapted = fit_adapter(table, targets, config).adapted(other.reshape(-1, 3, WIDTH))

    np.testing.assert_allclose(adapted, _unit(expected.reshape(-1, 3, WIDTH)), atol=1e-5)


def test_known_wordings_come_close_to_their_target_and_a_large_penalty_leaves_them_where_they_are() -> None:
    table = _table()
    targets = table.phrasings[0, 0]
    given, wanted = _given(table), _unit(targets.double().numpy()).astype(np.float32)

    def reached(ridge: float) -> float:
        adapted = fit_adapter(table, targets, AdapterConfig(ridge=ridge)).adapted(given)
        return _closeness(adapted.reshape(table.phrasings.shape), wanted)

    plain = _closeness(given.reshape(table.phrasings.shape), wanted)
    assert reached(1e-4) > 0.99 > reached(0.3) > plain + 1e-3
    assert reached(1e6) == pytest.approx(plain, abs=1e-5)


def test_what_sets_wordings_apart_is_taken_out_for_relations_that_were_not_seen() -> None:
    chance = np.random.default_rng(1)
    meaning, style = _unit(chance.normal(size=(40, 3, WIDTH))), 0.8 * _unit(chance.normal(size=(3, WIDTH)))
    blocks = _unit(np.stack([meaning, meaning + style])[None])
    seen = torch.from_numpy(blocks[:, :, :30]).float()
    table = RelationTable(tuple(map(str, range(30))), seen, torch.full((30,), 2))
    adapter = fit_adapter(table, table.phrasings[0, 0], AdapterConfig(width=1.0))
    plain, styled = blocks[0, :, 30:].astype(np.float32)
    assert _closeness(plain, adapter.adapted(styled)) > _closeness(plain, styled) + 0.05


def test_what_resembles_nothing_known_stays_where_it_is() -> None:
    table = _table()
    adapter = fit_adapter(table, table.phrasings[0, 0], AdapterConfig(width=0.02))
    far = -_given(table)[:1]
    np.testing.assert_allclose(adapter.adapted(far), far, atol=1e-6)


def test_a_wording_that_comes_several_times_counts_as_often() -> None:
    table, config = _table(kinds=1, versions=2), AdapterConfig(ridge=0.5)
    targets = table.phrasings[0, 0]
    twice = replace(table, phrasings=table.phrasings[:, [0, 1, 1]], counts=table.counts + 1)
    once, often = fit_adapter(table, targets, config), fit_adapter(twice, targets, config)
    assert once.known_NE.shape == often.known_NE.shape
    other = _given(replace(table, phrasings=table.phrasings[:, 1:]))
    wanted = _unit(targets.double().numpy()).astype(np.float32)
    assert _closeness(often.adapted(other), wanted) > _closeness(once.adapted(other), wanted) + 1e-3


def test_what_stands_beyond_a_relation_s_own_phrasings_teaches_nothing() -> None:
    table, config = _table(), AdapterConfig(ridge=0.5)
    targets = table.phrasings[0, 0]
    short = replace(table, counts=torch.tensor([3, 1, 3, 3, 2]))
    changed = table.phrasings.clone()
    changed[:, 1:, 1] = changed[:, 2:, 4] = 7.0
    one, other = fit_adapter(short, targets, config), fit_adapter(replace(short, phrasings=changed), targets, config)
    assert len(one.known_NE) == 2 * 12
    torch.testing.assert_close(one.known_NE, other.known_NE)
    torch.testing.assert_close(one.moves_NE, other.moves_NE)


def test_the_target_is_what_training_meets() -> None:
    table = _table()
    torch.testing.assert_close(table.target(TextConfig(phrasings="mean")), table.mean())
    for drawn in ("sample", "mix"):
        torch.testing.assert_close(table.target(TextConfig(phrasings=drawn)), table.phrasings[0, 0])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    table = _table()
    adapter = fit_adapter(table, table.mean(), AdapterConfig(width=0.7))
    write_adapter(adapter, tmp_path)
    given = _given(table)
    np.testing.assert_array_equal(read_adapter(tmp_path).adapted(given), adapter.adapted(given))


def test_a_run_keeps_its_adapter_and_encodes_relations_with_it(tiny_runs: Callable[[str], Path]) -> None:
    run = load_run(tiny_runs("shared"))
    relations = [phrasing for each in load_texts(run.config.texts.sources).values() for phrasing in each]
    plain = RelationEncoder(run.config.relation_encoder_name).blocks(relations, 0.3)
    adapted = run.relation_encoder().blocks(relations, 0.3)
    assert np.abs(plain - adapted).max() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(adapted, axis=-1), np.linalg.norm(plain, axis=-1), atol=1e-6)


def test_a_run_without_one_has_none(tiny_runs: Callable[[str], Path]) -> None:
    run = load_run(tiny_runs("marked"))
    assert run.adapter is None and run.relation_encoder().adapter is None
    assert not (run.directory / ADAPTER).exists()


@pytest.mark.parametrize("content", [None, b"", b"half a file"])
def test_a_run_whose_adapter_is_missing_or_damaged(
    tiny_runs: Callable[[str], Path], tmp_path: Path, content: bytes | None
) -> None:
    run = Path(shutil.copytree(tiny_runs("shared"), tmp_path / "run"))
    (run / ADAPTER).unlink()
    if content is not None:
        (run / ADAPTER).write_bytes(content)
    with pytest.raises(ModelError, match=f"{ADAPTER}.*copy") as caught:
        load_run(run)
    assert str(run) in str(caught.value)
    assert (run / CONFIG).is_file()


def test_the_fingerprint_of_an_export_covers_it(tiny_runs: Callable[[str], Path]) -> None:
    from zsre.exporter.export import run_contract

    run = load_run(tiny_runs("shared"))
    encoder = run.relation_encoder()
    assert run.adapter is not None
    known, moves, width = run.adapter.known_NE, run.adapter.moves_NE, run.adapter.width
    other = replace(run, adapter=RelationAdapter(known, moves, width * 1.01))
    assert run_contract(run, encoder, "fp32").fingerprint != run_contract(other, encoder, "fp32").fingerprint
