"""Runs of the tiny data, exported once for all tests, as tracing a graph takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.exporter.exported_run import ExportedRun
from zsre.exporter.export import export_run
from zsre.runner.engine import load_engine
from zsre.trainer.trained_run import load_run


@pytest.fixture(scope="session")
def exported_runs(
    tiny_runs: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], ExportedRun]:
    @cache
    def export(pairing: str) -> ExportedRun:
        output = tmp_path_factory.mktemp(f"exported-{pairing}") / "model.onnx"
        exported = export_run(tiny_runs(pairing), output, "fp32")
        return ExportedRun(load_run(tiny_runs(pairing)), exported, load_engine(output, "cpu", threads=1))

    return export


@pytest.fixture(params=["marked", "shared"])
def either(request: pytest.FixtureRequest, exported_runs: Callable[[str], ExportedRun]) -> ExportedRun:
    """Give a run of each pairing in turn."""
    return exported_runs(request.param)


@pytest.fixture
def shared(exported_runs: Callable[[str], ExportedRun]) -> ExportedRun:
    return exported_runs("shared")
