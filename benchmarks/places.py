"""Where corpora and results of benchmarks are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from measuring.machine import ROOT


@dataclass(frozen=True)
class Places:
    """Where corpora and results are."""

    data: Path = ROOT / "runs" / "benchmarks"
    results: Path = ROOT / "results"
