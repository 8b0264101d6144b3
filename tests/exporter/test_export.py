from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tests.exporter.exported_run import SENTENCES, ExportedRun
from zsre.exporter import parity
from zsre.exporter.export import export_run, level_calibration, make_contract
from zsre.exporter.files import add_metadata
from zsre.relations.contract import RELATIONS_ROLE, SENTENCES_ROLE, UNCALIBRATED, Calibration, Contract, read_contract
from zsre.relations.errors import ModelError
from zsre.relations.relation import Relation, RelationSet
from zsre.runner.engine import load_engine, relations_path
from zsre.trainer.checkpoint import write_calibration
from zsre.trainer.trained_run import load_run

MADE_UP = RelationSet((Relation("home", "home", "the city this person lives in"), Relation("b", "born", "born in")))


def _contract(run: ExportedRun, precision: str = "fp32", calibration: Calibration = UNCALIBRATED) -> Contract:
    return make_contract(run.run, nn.Linear(1, 1), precision, calibration)  # type: ignore[arg-type]


def _metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_the_two_files_are_all_that_a_model_is(either: ExportedRun, tmp_path: Path) -> None:
    copy = tmp_path / "renamed.onnx"
    shutil.copy(either.exported.model, copy)
    shutil.copy(either.exported.relations, relations_path(copy))

    engine = load_engine(copy, "cpu", threads=1)

    assert sorted(path.name for path in either.exported.model.parent.iterdir()) == [
        "model.onnx", "model.relations.onnx",
    ]  # fmt: skip
    for one, other in ((engine, either.engine), (either.engine, engine)):
        vectors, expected = one.encode(SENTENCES), other.encode(SENTENCES)
        np.testing.assert_array_equal(vectors.contexts, expected.contexts)
        np.testing.assert_array_equal(one.relation_vectors(MADE_UP), other.relation_vectors(MADE_UP))
    assert engine.contract == either.engine.contract
    assert either.exported.bytes == (copy.stat().st_size, relations_path(copy).stat().st_size)


def test_the_contract_says_what_the_run_is(either: ExportedRun) -> None:
    contract, run = either.engine.contract, either.run
    assert (contract.name, contract.pairing, contract.precision) == (run.config.name, run.tokens.pairing, "fp32")
    assert (contract.dimension, contract.alpha, contract.tokens) == (32, 0.33, run.tokens)
    assert contract.seen_relations == ("author", "born", "crosses", "founder")
    assert contract.seen_data == ("labelled",)
    assert contract.encoder == contract.relation_encoder == run.config.encoder
    for path, role in ((either.exported.model, SENTENCES_ROLE), (either.exported.relations, RELATIONS_ROLE)):
        assert read_contract(_metadata(path), role, str(path)) == contract
        assert onnx.load(path).producer_name == "zsre"


def test_the_fingerprint_covers_weights_and_settings(shared: ExportedRun) -> None:
    first = _contract(shared).fingerprint
    torch.manual_seed(1)
    weights = make_contract(shared.run, nn.Linear(1, 1), "fp32", UNCALIBRATED).fingerprint
    changed = load_run(shared.run.directory)
    with torch.no_grad():
        changed.model.context.bias[0] += 1e-3
    others = [
        weights,  # the relation encoder's
        make_contract(changed, nn.Linear(1, 1), "fp32", UNCALIBRATED).fingerprint,
        _contract(shared, "int8").fingerprint,
        _contract(shared, calibration=replace(UNCALIBRATED, slope=9.0)).fingerprint,
    ]
    assert len({first, *others}) == 5
    torch.manual_seed(1)
    assert make_contract(shared.run, nn.Linear(1, 1), "fp32", UNCALIBRATED).fingerprint == weights


def test_vectors_of_pairs_go_by_the_sentence_side_alone(shared: ExportedRun) -> None:
    first = _contract(shared).vectors
    changed = load_run(shared.run.directory)
    with torch.no_grad():
        changed.model.context.bias[0] += 1e-3
    same = [
        make_contract(shared.run, nn.Linear(1, 1), "fp32", UNCALIBRATED).vectors,
        _contract(shared, calibration=replace(UNCALIBRATED, slope=9.0)).vectors,
    ]
    others = [make_contract(changed, nn.Linear(1, 1), "fp32", UNCALIBRATED).vectors, _contract(shared, "int8").vectors]
    assert same == [first, first] and len({first, *others}) == 3


class TestCalibration:
    def test_is_that_of_the_folds_where_there_is_one(
        self, tiny_runs: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = Path(shutil.copytree(tiny_runs("shared"), tmp_path / "run"))
        calibration = Calibration(21.0, -14.0, 0.6, "folds")
        write_calibration(run, calibration)
        contracts: list[Contract] = []

        def stop(*arguments: object) -> None:
            contracts.append(make_contract(*arguments))  # type: ignore[arg-type]
            raise InterruptedError

        monkeypatch.setattr("zsre.exporter.export.make_contract", stop)
        with pytest.raises(InterruptedError):
            export_run(run, tmp_path / "model.onnx", "fp32")
        assert contracts[0].calibration == calibration

    def test_is_else_the_level_that_was_learned(self, shared: ExportedRun) -> None:
        calibration = level_calibration(shared.run)
        level = np.asarray([shared.run.facts.level], dtype=np.float32)
        assert calibration.probability(level)[0] == pytest.approx(0.5, abs=1e-5)
        assert calibration.slope == shared.run.facts.level_slope > 0
        assert calibration.fitted_on == "the level learned on the training relations"
        assert shared.engine.contract.calibration == calibration

    def test_is_else_said_to_be_none(self, shared: ExportedRun) -> None:
        config = replace(shared.run.config, level=replace(shared.run.config.level, weight=0.0))
        assert level_calibration(replace(shared.run, config=config)) == UNCALIBRATED


def test_files_of_two_exports_do_not_go_together(shared: ExportedRun, tmp_path: Path) -> None:
    shutil.copy(shared.exported.model, tmp_path / "model.onnx")
    other = onnx.load(shared.exported.relations)
    add_metadata(other, _contract(shared, "int8"), RELATIONS_ROLE, shared.run.tokenizer)
    onnx.save(other, tmp_path / "model.relations.onnx")
    with pytest.raises(ModelError, match="belongs to another model"):
        load_engine(tmp_path / "model.onnx", "cpu")


def test_an_export_that_fails_its_check_leaves_the_model_that_was_there(
    shared: ExportedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {tmp_path / "model.onnx": b"old", tmp_path / "model.relations.onnx": b"old relations"}
    for path, content in old.items():
        path.write_bytes(content)
    monkeypatch.setitem(parity.LIMITS, "fp32", -1.0)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^model\.onnx: differs from the torch model .* so it is refused$"):
        export_run(shared.run.directory, tmp_path / "model.onnx", "fp32")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a run directory of zsre-train"):
        export_run(tmp_path, tmp_path / "model.onnx", "fp32")


def test_a_description_longer_than_the_encoder_reads_is_cut(shared: ExportedRun) -> None:
    long = Relation("a", "a", "the river " * 200)
    longer = Relation("a", "a", "the river " * 300)
    vectors = shared.engine.relation_vectors(RelationSet((long,)))
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors, shared.engine.relation_vectors(RelationSet((longer,))), atol=1e-6)
