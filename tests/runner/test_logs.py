"""Lines for people, and for those who collect logs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.runner.fakes import RECORDS, RELATIONS_YAML, jsonl
from zsre.runner.logs import JsonFormatter, tell_end, with_fields


def _record(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("zsre.test").makeRecord(
        "zsre.test", logging.WARNING, "", 0, message, (), None, extra=with_fields(**extra) if extra else None
    )


def test_a_record_is_one_object_on_one_line() -> None:
    line = JsonFormatter().format(_record("two\nlines", documents=5, share=0.5, path=Path("x")))
    assert "\n" not in line
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert told == {"level": "warning", "message": "two\nlines", "documents": 5, "share": 0.5, "path": "x"}


def test_a_traceback_is_part_of_the_object() -> None:
    record = _record("failed")
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError: why" in json.loads(JsonFormatter().format(record))["traceback"]


@pytest.mark.parametrize(
    ("level", "told"), [("error", "zsre-x: error: it broke\n"), ("interrupted", "zsre-x: interrupted it broke\n")]
)
def test_the_end_is_told_in_either_form(level: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell_end("zsre-x", "plain", level, "it broke", 4)
    assert capsys.readouterr().err == told
    tell_end("zsre-x", "json", level, "it broke", 4)
    end = json.loads(capsys.readouterr().err)
    assert (end["level"], end["message"], end["exit_code"]) == (level, "it broke", 4)


def test_all_that_a_command_says_can_be_collected(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(jsonl(RECORDS))
    command = [sys.executable, "-m", "zsre.runner.cli", "corpus.jsonl", "--relations", "relations.yaml"]
    command += ["--model", str(tiny_model), "--log-format", "json"]

    def told(*flags: str, code: int) -> list[dict[str, object]]:
        done = subprocess.run([*command, *flags], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert done.stdout == ""
        return [json.loads(line) for line in done.stderr.splitlines()]

    finished = told(code=0)[-1]
    assert (finished["level"], finished["message"], finished["output"]) == ("info", "finished", "corpus.triples")
    counts = finished["counts"]
    assert isinstance(counts, dict) and counts["documents"] == 2
    assert {"seconds", "device"} <= finished.keys()
    refused = told("--threshold", "0.1", code=4)[-1]
    assert (refused["level"], refused["exit_code"]) == ("error", 4)
