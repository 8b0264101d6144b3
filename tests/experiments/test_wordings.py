from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments import wordings
from experiments.wordings import SETTINGS, compare, rows, unknown
from zsre.relations.relation import Relation
from zsre.relations.vectors import block_scales
from zsre.trainer.config import AdapterConfig, TextConfig
from zsre.trainer.relation_adapter import RelationAdapter
from zsre.trainer.relation_table import RelationEncoder, RelationTable, build_table

WORDS = "river bridge novel author city person singer company home".split()
RELATIONS = [Relation(f"R{number}", word, f"the {word} of this") for number, word in enumerate(WORDS)]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> RelationEncoder:
    return RelationEncoder(str(tiny_encoder))


def _table(encoder: RelationEncoder) -> RelationTable:
    phrasings = [[each, Relation(each.id, "old", f"who or what is a {each.name}")] for each in RELATIONS]
    return build_table([each.id for each in RELATIONS], phrasings, encoder, 0.33, torch.device("cpu"))


def test_a_similarity_is_that_of_extraction_and_the_nearest_target_counts() -> None:
    scales = np.asarray(block_scales(0.33), dtype=np.float32)[None, :, None]
    one, other = np.eye(4, dtype=np.float32)[[0, 1, 2]], np.eye(4, dtype=np.float32)[[0, 1, 3]]
    targets = np.stack([one, other]) * scales
    found = compare(np.stack([one, one]), np.array([0, 1]), targets)
    assert found.similarity == pytest.approx((1.0 + 0.66) / 2)
    assert found.nearest == 0.5


def test_an_adapter_has_not_seen_the_relations_that_it_is_unknown_to(
    encoder: RelationEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, fitted = _table(encoder), []

    def watched(rest: RelationTable, targets: Tensor, setting: AdapterConfig) -> RelationAdapter:
        fitted.append(set(rest.ids))
        assert rest.phrasings.shape[2] == len(targets) == len(rest.ids)
        return RelationAdapter(torch.zeros(1, 3 * encoder.width), torch.zeros(1, 3 * encoder.width), setting.width)

    monkeypatch.setattr(wordings, "fit_adapter", watched)
    given = np.ones((len(RELATIONS), 3, encoder.width), dtype=np.float32)
    unknown(table, [given], table.mean(), AdapterConfig())
    left_out = [set(table.ids) - each for each in fitted]
    assert len(fitted) == wordings.COUNT
    assert sorted(own for fold in left_out for own in fold) == sorted(table.ids)


def test_the_table_has_a_line_for_each_setting(encoder: RelationEncoder) -> None:
    table = _table(encoder)
    header, _, *lines = rows(table, TextConfig(phrasings="mix"), RELATIONS, encoder)
    assert {line.count("|") for line in lines} == {header.count("|")}
    assert len(lines) == len(SETTINGS)
    # The very phrasing that is the target, with no ends that could be missing.
    assert lines[0].split(" | ")[:3] == ["| no adapter", "1.000", "100.0"]
