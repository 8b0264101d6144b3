"""Which of two things ``zsre-extract`` does with its arguments; each loads little of what the other needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from zsre.runner.kept import is_kept
from zsre.runner.store_names import without_scheme


def command_for(args: argparse.Namespace) -> Callable[[argparse.Namespace], None]:
    """Load and return what extracts as the arguments say; it raises ZsreError for whatever a person can mend."""
    args.corpus = [without_scheme(given) for given in args.corpus]
    args.output = args.output and without_scheme(args.output)
    if any(is_kept(Path(given)) for given in args.corpus):
        from zsre.runner.kept_command import run_kept

        return run_kept
    from zsre.runner.text_command import run_text

    return run_text
