from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.runner.fakes import RELATIONS_YAML, jsonl
from zsre.runner import job_spec
from zsre.runner.entities import load_annotator

TEXT = "Microsoft was founded by Bill Gates. Ann Lee married Bob Day in Paris."

cached_annotator = cache(load_annotator)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    Path("relations.yaml").write_text(RELATIONS_YAML)
    Path("corpus.jsonl").write_bytes(jsonl([{"text": TEXT}]))
    return tmp_path
