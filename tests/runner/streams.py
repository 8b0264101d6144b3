"""Commands whose standard streams are closed, full or gone, as a shell makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Makes a command run on a fake model and pipeline.
FAKES = (
    "import sys; from zsre.runner import cli, eval_cli, eval_command, explain_cli, job_spec; "
    "from tests.runner.fakes import FakeAnnotator, FakeEngine; "
    "job_spec.load_engine = lambda *_: FakeEngine(); job_spec.load_annotator = lambda *_: FakeAnnotator(); "
    "eval_command.load_scorer = lambda *_: FakeEngine(); "
)


def assert_ends(command: str, arguments: list[str], streams: str, code: int) -> None:
    """Run ``main`` of a module of the runner, with what the shell does to its streams, and check how it ends."""
    program = f"{FAKES}sys.exit({command}.main(sys.argv[1:]))"
    done = subprocess.run(
        ["bash", "-c", f'"$0" "$@" {streams}', sys.executable, "-c", program, *arguments],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
