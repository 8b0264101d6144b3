"""Draw triples to be read by eye: draw_triples.py corpus.triples [--count 50] [--seed 1]

As zsre-judge draws them: spread evenly over the scores, and the same for the same run and seed.
"""

from __future__ import annotations

import argparse
import sys

from zsre.relations.errors import ZsreError
from zsre.runner.draw import draw, open_finished


def main() -> int:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triples")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        drawn = draw(open_finished(arguments.triples), arguments.count, arguments.seed)
    except ZsreError as error:
        print(f"draw_triples: error: {error}", file=sys.stderr)
        return error.exit_code
    for number, triple in enumerate(drawn.triples, start=1):
        sentence = " ".join(triple.sentence.split())
        print(f"{number:3}  {triple.score:.2f}  {triple.head} | {triple.relation} | {triple.tail}\n     {sentence}")
    mean = sum(triple.score for triple in drawn.triples) / len(drawn.triples)
    print(f"\nMean score of these {len(drawn.triples)} of {drawn.total:,}: {mean:.2f}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
