"""What keeping vectors in fewer bits saves, and what it changes in the triples that are made of them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.corpora import TEN, TEXT
from benchmarks.page import KEPT_PRECISION as NAME
from benchmarks.records import Line, rounded
from benchmarks.running import EXTRACT, THREADS, Settings, run_whole
from benchmarks.turns import Counts, paired, take_turns
from zsre.runner.kept_tables import PRECISIONS

#: Documents whose vectors are kept, and the relations whose triples are compared.
DOCUMENTS: Final = 1_000
RELATIONS: Final = "wikidata"
#: What makes two triples the same.
KEY: Final = ("doc_id", "head_start", "head_end", "relation_id", "tail_start", "tail_end")
Triples = Mapping[tuple[object, ...], tuple[float, float]]
logger = logging.getLogger("benchmarks")


class KeptRunner:
    """Vectors of one precision, from which a turn makes all triples anew."""

    def __init__(self, precision: str, folder: Path, settings: Settings) -> None:
        self.title, self._python = precision, settings.python
        self.vectors, self._triples = folder / precision, folder / f"{precision}.triples"
        limit = str(settings.fewer(DOCUMENTS))
        saving = ("--save-pairs", str(self.vectors), "--save-precision", precision, "--limit", limit)
        self._extract(str(settings.data / TEXT), "--relations", str(settings.data / TEN), *saving)

    def measure(self) -> Counts:
        """Make the triples."""
        return self._extract(str(self.vectors), "--relations", RELATIONS)

    def bytes(self) -> dict[str, int]:
        """Return how many bytes the vectors' files have, with the texts, and how many pairs they hold."""
        files = sorted(self.vectors.glob("*.parquet"))
        pairs = (pq.read_metadata(file).num_rows for file in files if file.name.startswith("pairs-"))
        return {"bytes": sum(file.stat().st_size for file in files), "pairs": sum(pairs)}

    def triples(self) -> Triples:
        """Return score and similarity of each triple that the last turn made."""
        parts = sorted(self._triples.glob("part-*.parquet"))
        rows = pa.concat_tables([pq.read_table(part, columns=[*KEY, "score", "similarity"]) for part in parts])
        return {
            tuple(row[name] for name in KEY): (row["score"], row["similarity"])
            for row in rows.to_pylist()
        }  # fmt: skip

    def _extract(self, *arguments: str) -> Counts:
        told = (*arguments, "-o", str(self._triples), "--device", "cpu", "--threads", str(THREADS), "--quiet")
        return run_whole([self._python, *EXTRACT, *told, "--overwrite"], None)


def measure(rounds: int, settings: Settings, more: Mapping[str, Any]) -> list[Line]:
    """Keep the vectors of the same documents in each precision, and return a line of each."""
    folder = settings.data / NAME
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    runners = []
    for precision in PRECISIONS:
        logger.info("%s: keeping vectors as %s", NAME, precision)
        runners.append(KeptRunner(precision, folder, settings))
    turns = list(take_turns(runners, rounds))
    usual, exact = runners[0], runners[0].triples()
    seconds = {runner.title: [own[runner.title]["seconds"] for own in turns] for runner in runners}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    lines: list[Line] = [
        {
            "row": NAME,
            "variant": runner.title,
            "date": date,
            **more,
            "documents": settings.fewer(DOCUMENTS),
            "relations": RELATIONS,
            **runner.bytes(),
            "figures": [rounded(own) for own in seconds[runner.title]],
            "median": rounded(median(seconds[runner.title])),
            "ratios": [rounded(own) for own in paired(seconds[runner.title], seconds[usual.title]).values],
            **changes(runner.triples(), exact),
        }
        for runner in runners
    ]
    shutil.rmtree(folder)
    return lines


def changes(own: Triples, exact: Triples) -> dict[str, Any]:
    """Return how triples differ from others: those that are missing or new, and how far the rest have moved."""
    both = [(own[key], exact[key]) for key in own.keys() & exact.keys()]
    score, similarity = (max((abs(one[n] - other[n]) for one, other in both), default=0.0) for n in (0, 1))
    return {
        "triples": len(own),
        "lost": len(exact.keys() - own.keys()),
        "gained": len(own.keys() - exact.keys()),
        "score_change": rounded(score),
        "similarity_change": rounded(similarity),
    }
