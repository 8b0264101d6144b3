from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsre.relations.errors import ModelError
from zsre.trainer.checkpoint import CONFIG
from zsre.trainer.relation_adapter import ADAPTER, RelationAdapter, fit_adapter, read_adapter, write_adapter
from zsre.trainer.relation_table import RelationEncoder, RelationTable
from zsre.trainer.setup import load_run, load_texts

WIDTH = 8


def _unit(array: NDArray[np.float64]) -> NDArray[np.float64]:
    length: NDArray[np.float64] = np.linalg.norm(array, axis=-1, keepdims=True)
    return array / length


def _table(kinds: int = 2, versions: int = 3, relations: int = 5, seed: int = 0) -> RelationTable:
    blocks = np.random.default_rng(seed).normal(size=(kinds, versions, relations, 3, WIDTH))
    return RelationTable(tuple("abcde"[:relations]), torch.from_numpy(_unit(blocks) * 0.6).float())


def _adapted(adapter: RelationAdapter, blocks: Tensor) -> NDArray[np.float64]:
    return adapter.adapted(blocks.flatten(0, -3).numpy()).astype(np.float64)


def test_the_maps_are_those_of_ridge_regression_on_the_mean_phrasing() -> None:
    table, ridge = _table(), 0.1
    given = _unit(table.phrasings.double().numpy()).reshape(-1, 3, WIDTH)
    mean = _unit(table.mean().double().numpy())
    wanted = np.broadcast_to(mean, table.phrasings.shape).reshape(-1, 3, WIDTH)

    adapted = _adapted(fit_adapter(table, ridge), table.phrasings)

    for part in range(3):
        x, y = given[:, part], wanted[:, part]
        # The penalty as so many more rows that ask for nothing.
        rows = np.concatenate([x, np.sqrt(ridge * len(x)) * np.eye(WIDTH)])
        weights = np.linalg.lstsq(rows, np.concatenate([y - x, np.zeros((WIDTH, WIDTH))]), rcond=None)[0]
        np.testing.assert_allclose(adapted[:, part], _unit(x + x @ weights), atol=1e-5)


def test_phrasings_come_closer_to_their_mean_and_a_large_penalty_leaves_them_where_they_are() -> None:
    table = _table()
    mean = _unit(table.mean().double().numpy())

    def closeness(ridge: float) -> float:
        adapted = _adapted(fit_adapter(table, ridge), table.phrasings).reshape(*table.phrasings.shape)
        return float((adapted * mean).sum(-1).mean())

    plain = float((_unit(table.phrasings.double().numpy()) * mean).sum(-1).mean())
    assert closeness(1e-6) > closeness(0.3) > plain + 1e-3
    assert closeness(1e6) == pytest.approx(plain, abs=1e-5)


def test_what_sets_wordings_apart_is_taken_out_for_relations_that_were_not_seen() -> None:
    chance = np.random.default_rng(1)
    meaning, style = _unit(chance.normal(size=(40, 3, WIDTH))), 0.8 * _unit(chance.normal(size=(3, WIDTH)))
    blocks = _unit(np.stack([meaning, meaning + style])[None])
    table = RelationTable(tuple(map(str, range(30))), torch.from_numpy(blocks[:, :, :30]).float())
    adapter = fit_adapter(table, 1e-3)

    def agreement(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return float((one * other).sum(-1).mean())

    unseen = blocks[0, :, 30:]
    adapted = [_adapted(adapter, torch.from_numpy(each).float()) for each in unseen]
    assert agreement(*adapted) > agreement(*unseen) + 0.05


def test_each_part_has_a_map_of_its_own_and_rows_do_not_depend_on_others() -> None:
    maps = torch.zeros(3, WIDTH, WIDTH)
    maps[1, 0, 1] = 1.0
    adapter, first = RelationAdapter(maps), torch.eye(WIDTH)[:1]
    for part, expected in enumerate(([1, 0], [2**-0.5, 2**-0.5], [1, 0])):
        alone = adapter(first, torch.tensor([part]))
        among = adapter(torch.cat([torch.eye(WIDTH)[3:5], first]), torch.tensor([1, 0, part]))
        assert alone[0, :2].tolist() == pytest.approx(expected)
        torch.testing.assert_close(among[2], alone[0])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    adapter = fit_adapter(_table(), 0.1)
    write_adapter(adapter, tmp_path)
    torch.testing.assert_close(read_adapter(tmp_path).maps_DE, adapter.maps_DE, rtol=0, atol=0)


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
    moved = RelationAdapter(torch.stack((run.adapter.maps_DE * 1.01).chunk(3, dim=1)))
    other = replace(run, adapter=moved)
    assert run_contract(run, encoder, "fp32").fingerprint != run_contract(other, encoder, "fp32").fingerprint
