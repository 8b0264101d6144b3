"""Measure extraction on a corpus: measure_speed.py corpus.jsonl [--relations wikidata] [--runs 3]

Whole runs of zsre-extract, one after the other; prints medians as a Markdown table. Peak memory is the largest
resident size of any of the runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path


def measure(corpus: Path, relations: str, directory: Path, flags: list[str]) -> dict[str, float]:
    """Run once and return counts and seconds; ``loading`` is the time before the first document is looked at."""
    started = time.monotonic()
    command = ["zsre-extract", str(corpus), "--relations", relations, "-o", str(directory), "--overwrite", "--quiet"]
    subprocess.run(command + flags, check=True)
    counts = json.loads((directory / "run.json").read_text(encoding="utf-8"))["counts"]
    return {"seconds": time.monotonic() - started} | {
        name: counts[name] for name in ("documents", "sentences", "mentions", "scored_pairs", "triples")
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--relations", default="wikidata")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("flags", nargs="*", help="further flags of zsre-extract, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            measure(arguments.corpus, arguments.relations, Path(folder) / "out.triples", arguments.flags)
            for _ in range(arguments.runs)
        ]
    seconds = statistics.median(run["seconds"] for run in runs)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print("| what | count | a second |\n| --- | --- | --- |")
    for name in ("documents", "sentences", "mentions", "scored_pairs", "triples"):
        print(f"| {name.replace('_', ' ')} | {runs[0][name]:,.0f} | {runs[0][name] / seconds:,.1f} |")
    times = ", ".join(f"{run['seconds']:.1f}" for run in runs)
    print(f"\nMedian of {len(runs)} whole runs, start-up included: {seconds:.1f} s ({times}).")
    print(f"Peak memory {peak:,.0f} MiB.")


if __name__ == "__main__":
    main()
