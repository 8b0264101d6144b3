"""What a person sees of a command of the trainer."""

from __future__ import annotations

import pytest


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was said on standard error, which is all that was said, and no traceback."""
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err
