"""How one model orders the contrast pairs' test half: ``python -m experiments.zero_shot.ordered [MODEL]``.

An exported file, a run directory, or the model that ships; unlike in results/zero-shot.md, it may have been trained on
the relations, and says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.zero_shot.others import CONTRAST, contrast_figures, pair_similarities
from experiments.zero_shot.sets import described
from zsre.relations.equivalents import seen_overlap
from zsre.relations.errors import ZsreError
from zsre.relations.reader_contrast import read_contrast_pairs
from zsre.runner.scorer import load_scorer


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="model.onnx or run directory (default: what ships)")
    arguments = parser.parse_args(argv)
    try:
        scorer = load_scorer(arguments.model, "auto", None)
        pairs = list(read_contrast_pairs(CONTRAST))
    except ZsreError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    relations = described(pair.relation for pair in pairs)
    columns = [relations.index(pair.relation) for pair in pairs]
    sides = []
    for side in ("states", "silent"):
        sentences = [getattr(pair, side) for pair in pairs]
        ends = [(own.pairs[0].head, own.pairs[0].tail) for own in sentences]
        sides.append(pair_similarities(sentences, ends, relations, scorer)[np.arange(len(pairs)), columns])
    contract = scorer.contract
    found = contrast_figures(pairs, sides[0], sides[1], contract.calibration)
    seen = seen_overlap(contract.seen_relations, relations.ids).same
    print(f"{contract.name} ({contract.fingerprint}), trained on {len(seen)} of {len(relations)} relations")
    kinds = ", ".join(f"{kind} {share:.0f}" for kind, share in found["by_kind"].items())
    print(f"ordered right: {found['ordered_right']:.1f} % of {found['pairs']} pairs ({kinds})")
    print(
        f"at or above the threshold: {found['states_written']:.1f} % of those that state, "
        f"{found['silent_written']:.1f} % of those that don't"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
