"""Draw triples to be read by eye: draw_triples.py corpus.triples [--count 50] [--seed 1]

The same rows, in the same order, for the same run and seed.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def draw(directory: Path, count: int, seed: int) -> tuple[list[dict[str, Any]], float]:
    """Return rows drawn from a run without replacement, and the mean score of all of its rows."""
    rows = [row for part in sorted(directory.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
    chosen = random.Random(seed).sample(rows, min(count, len(rows)))
    return chosen, sum(row["score"] for row in rows) / max(len(rows), 1)


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triples", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows, mean = draw(arguments.triples, arguments.count, arguments.seed)
    for number, row in enumerate(rows, start=1):
        sentence = " ".join(row["sentence"].split())
        print(f"{number:3}  {row['score']:.2f}  {row['head']} | {row['relation']} | {row['tail']}\n     {sentence}")
    drawn = sum(row["score"] for row in rows) / max(len(rows), 1)
    print(f"\nMean score: {drawn:.2f} of these {len(rows)}, {mean:.2f} of all.")


if __name__ == "__main__":
    main()
