from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from measuring import machine as module
from measuring.machine import ROOT, commit, machine


def test_a_machine_is_told_by_its_kind_alone() -> None:
    assert machine(2).keys() == {"processor", "used", "memory_gb", "python"}
    assert machine(2, "Some GPU")["gpu"] == "Some GPU"


def test_the_commit_is_the_checkout_s_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}\+?|unknown", commit())
    monkeypatch.setattr(module, "current_commit", lambda: None)
    assert commit() == "unknown"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system keeps no process to some processors")
def test_a_measurement_and_what_it_starts_keep_to_some_processors() -> None:
    code = (
        "import os, subprocess, sys\n"
        "from measuring.machine import use_processors\n"
        "print(use_processors(1))\n"
        "subprocess.run([sys.executable, '-c', 'import os; print(len(os.sched_getaffinity(0)))'], check=True)\n"
    )
    done = subprocess.run([sys.executable, "-u", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
