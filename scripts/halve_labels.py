"""Deal labelled texts into two files, turn about: halve_labels.py passages.json.gz half-0.jsonl half-1.jsonl

One half can then stand for labels that somebody has, and the other for the text that they are for. Facts one of whose
arguments is a pronoun are left out, as extraction from text never sees those.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from zsre.relations.errors import ZsreError
from zsre.relations.examples import LabelledSentence
from zsre.relations.pronouns import without_pronouns
from zsre.relations.reader_own import write_labelled
from zsre.relations.readers import read_labelled


def main() -> int:
    """Deal, and print how many texts and facts each half has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("halves", type=Path, nargs=2)
    arguments = parser.parse_args()
    try:
        texts = list(read_labelled(arguments.data))
        for number, path in enumerate(arguments.halves):
            dealt = [without_pronouns(text) for text in texts[number::2]]
            write_labelled(path, dealt)
            kept = count_labels(dealt)
            left_out = count_labels(texts[number::2]) - kept
            print(f"{path}: {len(dealt):,} texts, {kept:,} labels; {left_out:,} with a pronoun left out")
    except ZsreError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def count_labels(texts: Iterable[LabelledSentence]) -> int:
    """Return how many labels texts have, each relation of a pair being one."""
    return sum(len(pair.relations) for text in texts for pair in text.pairs)


if __name__ == "__main__":
    sys.exit(main())
