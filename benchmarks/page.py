"""The page of results, results/benchmarks.md, rendered from the lines that were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.plan import Row, Target
from benchmarks.records import Line, latest, read_lines
from benchmarks.rows import ROWS

PAGE: Final = "benchmarks.md"
NOT_RUN: Final = "not run"
INTRODUCTION: Final = """\
# Benchmarks

Made by `python -m benchmarks run` and rendered from [benchmarks.jsonl](benchmarks.jsonl) by
`python -m benchmarks render`; [docs/benchmarks.md](../docs/benchmarks.md) says how to run them and what each row means.
Parties take turns on the same text, two threads each, one at a time, in processes of their own. Times are of the work
alone, imports and loading left out, unless a row speaks of whole commands. A ratio is taken within each round; the
table has the median over rounds, and from the least to the most. What arithmetic predicts of more relations is the
operations of a sentence with 10 of them over those with more, encoder and comparisons, at one speed for both.

A row stands until it is measured again, so rows may come from several commits, several versions of the model that ships
and several processors, which the last column names; ratios of different rows are then no measure of each other.
"""
PRECISION: Final = "precision"
PRECISION_INTRODUCTION: Final = """\
Made by `{command}` of the run `{model}`, on a CPU, which is not what `cuda-fp16` is for. Speed is that of
`sentence-vectors`, all precisions taking turns; F1, in the paper's metric, is of {f1_pairs:,} pairs of {f1_data},
{f1_relations} of which the model has seen {f1_seen}. *With its batch*: the largest change of a similarity when
sentences are encoded one by one and not all together. *From fp32*: the largest difference of a similarity, and the
mean.
"""
KEPT_PRECISION: Final = "kept-precision"
KEPT_PRECISION_INTRODUCTION: Final = """\
Made by `{command}`: the vectors of the first {documents:,} documents of `text.jsonl` kept with `--save-pairs`, and the
triples of the relations `{relations}` made of them. `float16` gives those of a run from the text, to the last digit.
*Space* is of all files, with the texts. *Lost* and *new* are triples that `float16` has and the other hasn't, and the
other way round; changes are the largest among the rest. Time is of the whole command, loading included.
"""
TRIES: Final = "tries"
TRIES_INTRODUCTION: Final = """\
What encoding was tried with, and what was expected of it beforehand. Made by `{command}`: pairing, tokenising and
encoding of Re-DocRED's sentences with their entities, all tries taking turns; speed over that of what ships, which is
what the tries have led to.
"""
SCALE: Final[Mapping[str, float]] = {"GFLOP/s": 1e9}


def render(folder: Path) -> Path:
    """Write the page; return its path."""
    lines = latest(read_lines(folder))
    text = [INTRODUCTION, *ratio_table(lines)]
    for name, introduction, title, table in PARTS:
        if turns := _newest([line for (own, _), line in lines.items() if own == name]):
            text += (f"## {title}", "", introduction.format(**turns[0]).rstrip(), "", *table(turns), "")
    text += (*party_tables(lines), *machines(lines.values()))
    path = folder / PAGE
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    return path


def _newest(lines: Sequence[Line]) -> list[Line]:
    """Return those that took turns last; what is of another run, or no longer measured, has an older date."""
    return [line for line in lines if line["date"] == max(str(own["date"]) for own in lines)]


def ratio_table(lines: Mapping[tuple[str, str], Line]) -> Iterator[str]:
    """Yield one line of a table for each row, and one more for each further variant that was measured."""
    yield from _table_head(
        "row", "against", "what is inside", "model", "ratio", "range", "rounds", "target", "met", "date", "of"
    )
    for row in ROWS:
        for variant in _variants(row, lines):
            line = lines.get((row.name, variant))
            own = (*summary(row, variant, line), "" if line is None else circumstances(line))
            yield _table_row(row.name, row.against, row.inside, variant, *own)
    yield ""


def precision_table(lines: Sequence[Line]) -> Iterator[str]:
    """Yield one line of a table for each precision that was measured."""
    yield from _table_head(
        "precision", "both files", "speed", "over fp32", "range", "F1", "with its batch", "from fp32", "on average",
        "rounds", "date",
    )  # fmt: skip
    for line in lines:
        ratios = line["ratios"]
        yield _table_row(
            f"`{line['variant']}`", f"{sum(line['bytes']) / 1e6:.1f} MB", with_unit(line["median"], line["unit"]),
            f"{median(ratios):.2f}×", f"{min(ratios):.2f}× to {max(ratios):.2f}×", f"{line['f1']:.2f}",
            small(line["batch_change"]), small(line["from_fp32"]), small(line["from_fp32_mean"]), str(len(ratios)),
            line["date"][:10],
        )  # fmt: skip


def kept_precision_table(lines: Sequence[Line]) -> Iterator[str]:
    """Yield one line of a table for each precision that vectors were kept in."""
    yield from _table_head(
        "kept as", "space", "a pair", "time", "of float16's", "range", "triples", "lost", "new", "score moves by",
        "similarity moves by", "rounds", "date",
    )  # fmt: skip
    for line in lines:
        ratios = line["ratios"]
        yield _table_row(
            f"`{line['variant']}`", f"{line['bytes'] / 1e6:.1f} MB", f"{line['bytes'] / max(line['pairs'], 1):,.0f} B",
            f"{line['median']:.2f} s", f"{median(ratios):.2f}×", f"{min(ratios):.2f}× to {max(ratios):.2f}×",
            f"{line['triples']:,}", f"{line['lost']:,}", f"{line['gained']:,}", small(line["score_change"]),
            small(line["similarity_change"]), str(len(ratios)), line["date"][:10],
        )  # fmt: skip


def tries_table(lines: Sequence[Line]) -> Iterator[str]:
    """Yield one line of a table for each try."""
    yield from _table_head("tried", "expected", "measured", "range", "rounds", "date")
    for line in lines:
        ratios = line["ratios"]
        yield _table_row(
            line["variant"], line["expected"], f"{median(ratios):.2f}×", f"{min(ratios):.2f}× to {max(ratios):.2f}×",
            str(len(ratios)), line["date"][:10],
        )  # fmt: skip


def small(number: float) -> str:
    """Return a difference as it is read."""
    return f"{number:.1e}" if number else "0"


def summary(row: Row, variant: str, line: Line | None) -> list[str]:
    """Return ratio, range, rounds, target, whether it is met, and date."""
    target = row.target(variant)
    wanted = "" if target is None else target_text(target, row)
    if line is None:
        return [NOT_RUN, "", "", wanted, "", ""]
    ratios, middle = line["ratios"], line["median"]
    span = f"{shown(min(ratios), row)} to {shown(max(ratios), row)}" if len(ratios) > 1 else ""
    met = "" if target is None else "yes" if target.met(middle) else "no"
    ratio = shown(middle, row) + (f" (arithmetic: {shown(line['predicted'], row)})" if "predicted" in line else "")
    return [ratio, span, str(len(ratios)), wanted, met, line["date"][:10]]


def circumstances(line: Line) -> str:
    """Return what a row was measured of, and on: commit, model where a party told of it, and processor."""
    models = {party["facts"].get("fingerprint", "")[:8] for party in line["parties"].values()}
    told = [
        f"`{line['commit']}`",
        *(f"model `{model}`" for model in sorted(models - {""})),
        line["machine"]["processor"],
    ]
    return ", ".join(told)


def target_text(target: Target, row: Row) -> str:
    """Return a target as it is read in a table."""
    if target.least is not None:
        return f"≥ {shown(target.least, row)}"
    assert target.most is not None
    return f"≤ {shown(target.most, row)}"


def shown(number: float, row: Row) -> str:
    """Return a ratio, or where there is no baseline the figure itself."""
    digits = 0 if number >= 100 else 1 if number >= 10 else 2 if number >= 0.1 else 3
    return f"{number:,.{digits}f}" + ("×" if row.baselines else f" {row.figure.unit}")


def with_unit(number: float, unit: str) -> str:
    """Return a party's figure as it is read."""
    return f"{number / SCALE.get(unit, 1):,.4g} {unit}"


def party_tables(lines: Mapping[tuple[str, str], Line]) -> Iterator[str]:
    """Yield what every party made by itself."""
    if not lines:
        return
    yield from ("## Each by itself", "", "Medians over rounds, and from the least to the most.", "")
    yield from _table_head("row", "model", "party", "median", "range", "what")
    for row in ROWS:
        for variant in _variants(row, lines):
            if (row.name, variant) in lines:
                line = lines[row.name, variant]
                for title, party in line["parties"].items():
                    yield _table_row(
                        row.name, variant, title, *_figures(party, line["unit"]), facts_text(party["facts"])
                    )
    yield ""


def facts_text(facts: Mapping[str, Any]) -> str:
    """Return versions and settings, as they are read in a table."""
    return ", ".join(
        f"{name.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in facts.items()
        if name != "fingerprint"
    )


def machines(lines: Iterable[Line]) -> Iterator[str]:
    """Yield what the figures come from: machines, commits and corpora."""
    kinds = sorted({machine_text(line["machine"]) for line in lines})
    commits = sorted({f"`{line['commit']}`" for line in lines})
    if kinds:
        yield from ("## Machine", "", "; ".join(kinds) + f". Commits: {', '.join(commits)}.")


def machine_text(machine: Mapping[str, Any]) -> str:
    """Return a machine's kind in words."""
    gpu = f"{machine['gpu']}, " if "gpu" in machine else ""
    return (
        f"{gpu}{machine['processor']}, {machine['used']} processors used, {machine['memory_gb']} GB, "
        f"Python {machine['python']}"
    )


def _variants(row: Row, lines: Mapping[tuple[str, str], Line]) -> list[str]:
    usual = row.usual_variant
    return [usual, *sorted(variant for name, variant in lines if name == row.name and variant != usual)]


def _figures(party: Mapping[str, Any], unit: str) -> tuple[str, str]:
    values: Sequence[float] = [value / SCALE.get(unit, 1) for value in party["figures"]]
    span = f"{min(values):,.4g} to {max(values):,.4g}" if len(values) > 1 else ""
    return with_unit(party["median"], unit), span


def _table_head(*columns: str) -> tuple[str, str]:
    return _table_row(*columns), _table_row(*["---"] * len(columns))


def _table_row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


#: Parts of the page without ratios to reach: the row that their lines are of, introduction, title and table.
PARTS: Final = (
    (PRECISION, PRECISION_INTRODUCTION, "Precision", precision_table),
    (KEPT_PRECISION, KEPT_PRECISION_INTRODUCTION, "Precision of kept vectors", kept_precision_table),
    (TRIES, TRIES_INTRODUCTION, "Tried", tries_table),
)
