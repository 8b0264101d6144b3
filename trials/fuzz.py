"""Lines that a fuzzer made of documents, through the whole command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trials.corpora import mutated
from trials.runs import command, outcome, run


def fuzz(folder: Path, lines: int = 200_000, seed: int = 13) -> dict[str, Any]:
    """Extract from mutated lines; each must end as a document, a reject, or blank."""
    corpus = mutated(folder, lines, seed)
    run(command(corpus, folder / "out", lines=5_000))
    came_to = outcome(folder / "out")
    counts = came_to.counts
    content = corpus.read_bytes()
    in_file = content.count(b"\n") + (not content.endswith(b"\n"))
    rejects = sum(1 for _ in (folder / "out" / "rejects.jsonl").open("rb"))
    rejected = sum(counts["rejects"].values())
    accounted = counts["lines"] == counts["blank_lines"] + counts["documents"] + rejected
    return {
        "mutated": lines,
        "seed": seed,
        "lines": in_file,
        "documents": counts["documents"],
        "blank_lines": counts["blank_lines"],
        "rejects": counts["rejects"],
        "rows": came_to.rows,
        "accounted": accounted and counts["lines"] == in_file and rejects == rejected,
    }
