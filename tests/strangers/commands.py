"""Runs of zsre-extract over what strangers left, in the folder that a test stands in."""

from __future__ import annotations

import pytest

from zsre.runner import cli


def run(*args: str, corpus: str = "corpus.jsonl", output: str = "out") -> int:
    return cli.main([corpus, "--relations", "relations.yaml", "-o", output, "--quiet", *args])


def refused(capfd: pytest.CaptureFixture[str], *args: str, **options: str) -> str:
    """Return the error, the only line, that a command ends with."""
    assert run(*args, **options) == 2
    error = capfd.readouterr().err
    assert error.startswith("zsre-extract: error: ")
    assert error.count("\n") == 1, error
    return error
