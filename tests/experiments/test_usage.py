"""Running commands and watching them."""

from __future__ import annotations

import sys
import time

import pytest
import torch

from experiments import usage
from experiments.usage import CommandError, execute
from measuring import gpu


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_command_took_is_known() -> None:
    took = execute(_python("import time; time.sleep(0.3); held = bytearray(200_000_000)"))
    assert 0.3 <= took.seconds < 20
    assert took.cpu_seconds is not None and 0 < took.cpu_seconds < 20
    assert took.memory is not None and 190 < took.memory < 20_000


def test_a_command_that_fails() -> None:
    with pytest.raises(CommandError, match=r"^-c raise SystemExit\(7\) ended with exit code 7$"):
        execute(_python("raise SystemExit(7)"))


def test_a_command_that_was_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(_python("raise SystemExit(130)"))


def test_an_interruption_waits_for_the_command_to_save(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capfd: pytest.CaptureFixture[str]
) -> None:
    code = """
import time
try:
    print("started", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.2)
    print("saved", flush=True)
"""

    def interrupt(process: object) -> None:
        while "started" not in (seen := capfd.readouterr().out):
            assert not seen
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(usage, "_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        execute(_python(code))
    assert capfd.readouterr().out == "saved\n"


def test_the_gpu_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu, "QUERY", _python("print('1200, 50')\nprint('90, 10')"))
    took = execute(_python("import time; time.sleep(1.6)"))
    assert (took.gpu_memory, took.gpu_use) == (1200, 50)


def test_the_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cores = torch.get_num_threads()
    assert usage.device() == ("CPU, 1 core" if cores == 1 else f"CPU, {cores} cores")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert usage.device() == "Some GPU"
