"""Ctrl-C while a command loads modules."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Final

#: What takes so long to load that a person may press Ctrl-C meanwhile.
HEAVY: Final = {"numpy", "onnx", "onnxruntime", "pyarrow", "rich", "spacy", "torch", "transformers"}

_INTERRUPTED = f"""
import importlib, os, signal, sys

command, at, loaded, *arguments = sys.argv[1:]
main = importlib.import_module(command).main
assert not {HEAVY!r} & set(sys.modules), "loads too much before it can be interrupted"

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == at:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
code = main(arguments)
assert loaded in sys.modules, "a module was cut off while it loaded"
sys.exit(code)
"""


def assert_interrupted(command: str, at: str, loaded: str, arguments: Sequence[str], told: str) -> None:
    """Press Ctrl-C when a command's module begins to load ``at``; ``loaded``, which needs that, is whole in the end."""
    words = [sys.executable, "-c", _INTERRUPTED, command, at, loaded, *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, told)
