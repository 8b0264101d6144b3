from __future__ import annotations

import sys

import pytest

from measuring import gpu
from measuring.gpu import GpuWatch, gpu_name


def test_a_gpu_that_cannot_be_watched_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gpu, "QUERY", ["there-is-no-such-command"])
    watch = GpuWatch()
    watch._thread.join(10)
    watch.stop()
    assert watch.figures() == (None, None)
    assert "the GPU is not watched: " in caplog.text


def test_a_gpu_is_named_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "NAME_QUERY", [sys.executable, "-c", "print('Some GPU\\nAnother')"])
    assert gpu_name() == "Some GPU"
    for command in (["there-is-no-such-command"], [sys.executable, "-c", "raise SystemExit(9)"]):
        monkeypatch.setattr(gpu, "NAME_QUERY", command)
        assert gpu_name() is None
