"""The page of results, results/trials.md, rendered from the last record of each trial."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

RECORDS: Final = "trials.jsonl"
PAGE: Final = "trials.md"
_INTRODUCTION: Final = """\
# Trials

What must never lose a document, tried on the whole command by `python -m trials NAME`, recorded in
[trials.jsonl](trials.jsonl), and rendered from it by `python -m trials render` (one of `kill`, `ways`, `broken`, `fuzz`
and `many`, or `all`: after `pip install -e '.[dev]' duckdb polars pandas`; `broken` needs the right to mount). The
texts are one-sentence documents of the benchmarks' corpus (`python -m benchmarks corpus`), with a line after every
hundredth that is no document; relations are the whole catalogue, with a threshold at which many rows are written.
*Identical* means the same rows in the same order with the same scores to four digits, the same rejects, the same
counts.
"""
_BILLION: Final = 1e9
Found = Mapping[str, Any]


def render(results: Path) -> Path:
    """Write the page; return its path."""
    lines = [json.loads(line) for line in (results / RECORDS).read_text("utf-8").splitlines()]
    latest = {line["trial"]: line for line in lines}
    sections = {"kill": _kill, "ways": _ways, "broken": _broken, "fuzz": _fuzz, "many": _many}
    text = [_INTRODUCTION]
    for name, section in sections.items():
        if name in latest:
            text += [*section(latest[name]), "", _provenance(latest[name]), ""]
    path = results / PAGE
    path.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    return path


def _kill(found: Found) -> Iterator[str]:
    yield "## Killed at random moments\n"
    hit = [parts for parts in found["parts_when_killed"] if parts]
    yield (
        f"{found['kills']} times SIGKILL during runs of {found['documents']:,} documents ({found['rows']:,} rows), at "
        f"moments spread over the {found['seconds_alone']:.0f} s that a run takes alone; {len(hit)} of them came when "
        f"parts had been written. Each was gone on with by the same command. **{found['identical']} of the "
        f"{found['runs']} runs that came of it were identical to the one left alone.**"
    )


def _ways(found: Found) -> Iterator[str]:
    yield "## The same rows, whatever the way\n"
    yield f"{found['documents']:,} documents, {found['rows']:,} rows, compared with one uninterrupted process.\n"
    yield "| way | identical |"
    yield "| --- | --- |"
    for way, identical in found["identical"].items():
        yield f"| {way} | {_yes(identical)} |"


def _broken(found: Found) -> Iterator[str]:
    yield "## Broken disks and files\n"
    yield (
        f"{found['documents']:,} documents. The same command again, once the disk has room or may be written to; "
        "where `--overwrite` is asked for, with that, everything else being still there until then.\n"
    )
    yield "| what | exit code | what was said | then identical |"
    yield "| --- | --- | --- | --- |"
    for each in found["damages"]:
        yield f"| {each['what']} | {each['exit_code']} | {each.get('said', '')} | {_yes(each['identical'])} |"


def _fuzz(found: Found) -> Iterator[str]:
    yield "## Mutated lines\n"
    rejects = ", ".join(f"{reason} {count:,}" for reason, count in sorted(found["rejects"].items()))
    yield (
        f"{found['mutated']:,} lines, each a document's with one to eight changes to its bytes (seed {found['seed']}), "
        f"came to {found['lines']:,} lines: {found['documents']:,} documents ({found['rows']:,} rows), "
        f"{found['blank_lines']:,} blank, and {sum(found['rejects'].values()):,} rejects ({rejects}). The run finished "
        f"with exit code 0. **Each line accounted for: {_yes(found['accounted'])}.**"
    )


def _many(found: Found) -> Iterator[str]:
    yield "## Very many documents\n"
    rate, size = found["documents"] / found["seconds"], found["part_bytes"] / found["rows"]
    yield (
        f"{found['documents']:,} one-sentence documents, {found['rows']:,} rows in {found['parts']} parts, "
        f"{rate:.0f} documents a second, {size:.0f} bytes a row.\n"
    )
    yield "| | first quarter | second | third | fourth |"
    yield "| --- | --- | --- | --- | --- |"
    for title, name in (("most memory, MB", "memory_mb"), ("most open files", "files")):
        yield f"| {title} | " + " | ".join(f"{quarter[name]:,}" for quarter in found["quarters"]) + " |"
    yield ""
    readers = ", ".join(f"{reader} ({rows:,})" for reader, rows in found["read_by"].items())
    yield f"Rows, as read by others: {readers}.\n"
    yield from _billion(found)


def _billion(found: Found) -> Iterator[str]:
    """Say what a billion such sentences come to, as docs/cluster.md speaks of it."""
    hours = _BILLION / found["documents"] * found["seconds"] / 3600
    parts, space = (_BILLION / found["documents"] * found[name] for name in ("parts", "part_bytes"))
    cores = found["machine"]["used"]
    yield (
        f"In proportion, a billion such sentences are {hours:,.0f} hours of these {cores} processors, "
        f"{hours * cores / 24:,.0f} days of one, and {space / 1e9:,.0f} GB of triples in {parts:,.0f} parts."
    )


def _provenance(found: Found) -> str:
    own = found["machine"]
    return (
        f"`{found['command']}`, {found['date'][:10]}, commit {found['commit']}, {own['used']} processors "
        f"({own['processor']}), {own['memory_gb']} GB, Python {own['python']}."
    )


def _yes(true: bool) -> str:
    return "yes" if true else "**no**"
