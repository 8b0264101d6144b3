"""What was measured, a line each: results/benchmarks.jsonl, of which everything else is rendered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.plan import Row
from benchmarks.turns import Counts, Paired, best, paired, value
from zsre.relations.errors import DataError

RECORDS: Final = "benchmarks.jsonl"
Line = Mapping[str, Any]
_DIGITS: Final = 5


def make_line(row: Row, rounds: Sequence[Mapping[str, Counts]], facts: Mapping[str, object], **more: Any) -> Line:
    """Return the line of a measured row: the figures of every party and round, and the ratios of the best two."""
    figures = {party.title: [value(row.figure, own[party.title]) for own in rounds] for party in row.subjects}
    baseline = {party.title: [value(row.figure, own[party.title], True) for own in rounds] for party in row.baselines}
    subject = best(figures, row.figure.less_is_better)
    line: dict[str, Any] = {
        "row": row.name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
        "parties": {
            title: {
                "figures": [rounded(own) for own in values],
                "median": rounded(median(values)),
                "counts": {name: rounded(count) for name, count in rounds[-1][title].items()},
                "facts": facts[title],
            }
            for title, values in (figures | baseline).items()
        },
        "unit": row.figure.unit,
        "subject": subject,
    }
    ratios = Paired(tuple(figures[subject]))
    if baseline:
        line["baseline"] = best(baseline, row.figure.less_is_better)
        ratios = paired(figures[subject], baseline[line["baseline"]], row.inverse)
    line |= {"ratios": [rounded(own) for own in ratios.values], "median": rounded(ratios.median)}
    if row.predicted:
        last = rounds[-1]
        line["predicted"] = rounded(predicted(last[subject], last[line["baseline"]]))
    return line


def predicted(more: Counts, fewer: Counts) -> float:
    """Return what speed falls to by arithmetic alone: the operations a sentence, fewer relations over more."""
    each = [(own["flops"] + own["score_flops"]) / own["sentences"] for own in (fewer, more)]
    return each[0] / each[1]


def read_lines(folder: Path) -> list[Line]:
    """Read what was measured; raise DataError for a line that is damaged."""
    path = folder / RECORDS
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else (), start=1):
        try:
            lines.append(json.loads(text))
        except ValueError as error:
            raise DataError(f"{path}, line {number}: is not JSON ({error}); mend or remove it") from error
    return lines


def append_line(line: Line, folder: Path) -> None:
    """Add a line."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / RECORDS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def latest(lines: Sequence[Line]) -> dict[tuple[str, str], Line]:
    """Return the last line of each row and variant."""
    return {(line["row"], line["variant"]): line for line in lines}


def rounded(number: float) -> float:
    """Return a number with as many digits as mean something."""
    return float(f"{number:.{_DIGITS}g}") if number % 1 else number
