"""The side of a party that runs in its own process: load, warm up, then do timed work whenever it is told to.

A job comes as one line of JSON on standard input. The answer is a line once everything is loaded and warm, and one for
each further line that comes in, with seconds and counts of the work alone. Only the standard library is imported, and
syntax kept plain, since every environment runs this.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What a pass over the work came to, by name. ``own_seconds`` is what a party measured of a part of the work alone.
Counts = Mapping[str, float]
Job = Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """What a party has loaded: ``run`` does the work once; ``facts`` (versions, settings) are recorded with it.

    ``warm_up`` is done before it says that it is ready; by default the work itself.
    """

    run: Callable[[], Counts]
    facts: Mapping[str, object] = field(default_factory=dict)
    warm_up: Callable[[], object] | None = None


def serve(prepare: Callable[[Job], Work]) -> None:
    """Answer on what was standard output, which libraries find pointing to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        job = json.loads(sys.stdin.readline())
        work = prepare(job)
        (work.warm_up or work.run)()
        _say(answers, dict(work.facts))
        for _ in sys.stdin:
            _say(answers, timed(work.run, job["seconds"]))


def timed(run: Callable[[], Counts], least: float) -> dict[str, float]:
    """Repeat the work until ``least`` seconds have passed, and return seconds, passes and all counts summed."""
    totals: Counter[str] = Counter()
    passes, start = 0, time.perf_counter()
    while True:
        totals.update(run())
        passes += 1
        elapsed = time.perf_counter() - start
        if elapsed >= least:
            return {"seconds": elapsed, "passes": passes, **totals}


def read_records(job: Job) -> list[dict[str, Any]]:
    """Return the job's ``items`` records: the first of its corpus, or drawn evenly by length from the first ``of``."""
    with Path(job["corpus"]).open(encoding="utf-8") as file:
        records = [json.loads(line) for line, _ in zip(file, range(job.get("of", job["items"])), strict=False)]
    by_length = sorted(range(len(records)), key=lambda index: len(records[index]["text"]))
    count = min(job["items"], len(records))
    chosen = sorted(by_length[(2 * number + 1) * len(records) // (2 * count)] for number in range(count))
    return [records[index] for index in chosen]


def _say(answers: Any, answer: Mapping[str, object]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
