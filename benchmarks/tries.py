"""What was tried to make encoding faster: each try beside what ships, in turns on the same sentences.

A try is what ships with some constants of zsre changed, or with its graph written in another way, so that it can be
measured again whenever either changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.encoding import speed_facts, speeds
from benchmarks.page import TRIES as NAME
from benchmarks.records import Line
from benchmarks.rewrites import Rewrite, one_kernel, one_product, rewritten
from benchmarks.running import THREADS, Settings
from zsre.runner.engine import shipped_model

SHIPS: Final = "what ships"


@dataclass(frozen=True)
class Try:
    """Something that was tried, and what was ``expected`` of it, and why.

    ``constants`` of zsre are changed, by their full names, and ``rewrite`` changes the graph.
    """

    name: str
    expected: str
    constants: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    rewrite: Rewrite | None = None


_ENGINE: Final = "zsre.runner.engine"
_SESSION: Final = "zsre.runner.session"
TRIES: Final = (
    Try(
        "all threads on one batch of 2,048 tokens",
        "as fast: it is the same arithmetic",
        {f"{_SESSION}.THREADS_IN_A_RUN": THREADS, f"{_ENGINE}.CPU_TOKENS": 2048},
        {"threads": 1},
    ),
    Try(
        "batches of 128 tokens",
        "slower: products of few rows are slow",
        {f"{_ENGINE}.CPU_TOKENS": 128},
    ),
    Try("batches of 256 tokens", "as fast", {f"{_ENGINE}.CPU_TOKENS": 256}),
    Try(
        "batches of 2,048 tokens",
        "slower: what passes between two layers, 12 MB, is more than a cache holds",
        {f"{_ENGINE}.CPU_TOKENS": 2048},
    ),
    Try(
        "rows padded to multiples of 8",
        "3.5 tokens a row of 35 are padding: 0.9×",
        {f"{_ENGINE}.CPU_WIDTHS": [[0, 8]]},
    ),
    Try(
        "rows padded to nothing",
        "7 % of what is encoded are copies of rows that find no other of their width, and 3 % are copies or padding in "
        "what ships: 0.96×",
        {f"{_ENGINE}.CPU_WIDTHS": [[0, 1]]},
    ),
    Try(
        "one kernel to add and normalise",
        "one pass over memory less in each half of a layer: 1.02×",
        {f"{_SESSION}.CPU_DISABLED": []},
    ),
    Try(
        "bias and GELU in kernels of their own",
        "one pass over memory more in each layer: 0.97×",
        {f"{_SESSION}.CPU_DISABLED": ["SkipLayerNormFusion", "BiasGeluFusion"]},
    ),
    Try(
        "one kernel for a layer's attention",
        "no copies of what it transposes, and no guard against rows without a token, some 5 % of the time: 1.05×",
        rewrite=one_kernel,
    ),
    Try(
        "one product for query, key and value",
        "as much arithmetic in fewer and wider products: 1.02×",
        rewrite=one_product,
    ),
)


def measure(rounds: int, settings: Settings, more: Mapping[str, Any]) -> list[Line]:
    """Measure every try beside what ships, and return their lines."""
    ways = {SHIPS: {}, **{each.name: options_of(each, settings.data / NAME) for each in TRIES}}
    figures = speeds(NAME, "encode", ways, settings, rounds)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    expected = {SHIPS: "", **{each.name: each.expected for each in TRIES}}
    return [
        {
            "row": NAME,
            "variant": name,
            "expected": expected[name],
            "date": date,
            **more,
            **speed_facts(figures[name], figures[SHIPS]),
        }
        for name in ways
    ]


def options_of(tried: Try, folder: Path) -> dict[str, Any]:
    """Return the options of a try's job; a rewritten graph is put into the folder."""
    options = {**tried.options, "constants": dict(tried.constants)}
    if tried.rewrite is not None:
        path = folder / f"{tried.rewrite.__name__}.onnx"
        options["model"] = str(rewritten(shipped_model(), tried.rewrite, path))
    return options
