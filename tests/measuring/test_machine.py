from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from measuring import machine as module
from measuring.machine import ROOT, commit, machine


def test_a_machine_is_told_by_its_kind_alone() -> None:
    assert machine(2).keys() == {"processor", "used", "memory_gb", "python"}
    assert machine(2, "Some GPU")["gpu"] == "Some GPU"


def test_the_commit_says_when_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "file").write_text("one", "utf-8")
    git("init")
    git("add", "file")
    git("commit", "-m", "one")
    clean = commit()
    assert re.fullmatch("[0-9a-f]{10}", clean)
    (tmp_path / "file").write_text("two", "utf-8")
    assert commit() == f"{clean}+"


def test_without_a_repository_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path / "nowhere")
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
