"""Killed with SIGKILL at random moments, and gone on with each time."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trials.corpora import sentences
from trials.runs import command, outcome, run, start


def kill(folder: Path, documents: int = 2_000, kills: int = 50, seed: int = 13) -> dict[str, Any]:
    """Kill runs until that was done ``kills`` times; compare each that got to its end with one left alone.

    Moments are spread over as long as the whole run takes, loading included. A run that ends before its moment begins
    anew elsewhere.
    """
    corpus = sentences(folder, documents)
    began = time.monotonic()
    run(command(corpus, folder / "alone"))
    whole = time.monotonic() - began
    expected = outcome(folder / "alone")
    moments = random.Random(seed)
    killed, identical, parts = 0, 0, []
    for number in range(10_000):
        output = folder / f"killed-{number}"
        for process in _attempts(command(corpus, output)):
            if killed < kills and _outlasts(process, moments.uniform(0, whole)):
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                killed += 1
                parts.append(len(list(output.glob("part-*"))))
        identical += outcome(output) == expected
        shutil.rmtree(output)
        if killed >= kills:
            return {
                "documents": documents,
                "rows": expected.rows,
                "seconds_alone": round(whole, 1),
                "kills": killed,
                "runs": number + 1,
                "identical": identical,
                "parts_when_killed": parts,
            }
    raise AssertionError("no run lasts long enough to be killed")


def _attempts(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a command again and again, until it ends by itself."""
    while True:
        process = start(arguments)
        yield process
        said = process.communicate()[1] if process.returncode is None else ""
        if process.returncode == 0:
            return
        assert process.returncode == -signal.SIGKILL, said


def _outlasts(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False
