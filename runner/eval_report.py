"""What people and logs are told of a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsre.relations.equivalents import Overlap
from zsre.runner.evaluate import Evaluation, some
from zsre.runner.scorer import Scorer


def show(console: Console, evaluation: Evaluation, scorer: Scorer, per_class: bool) -> None:
    """Print the figures for people."""
    report, relations = evaluation.report, evaluation.relations
    _line(console, f"{scorer.name}: {evaluation.pairs:,} pairs, each classified among {len(relations)} relations")
    for line in passed_lines(evaluation):
        _line(console, f"  {line}")
    console.print()
    paper = (report.paper_precision, report.paper_recall, report.paper_f1)
    table = _table("", "precision", "recall", "F1")
    table.add_row("macro, as in the paper", *map(_percent, paper))
    table.add_row("macro F1, as in scikit-learn", "", "", _percent(report.macro_f1))
    console.print(table)
    console.print()
    if per_class:
        console.print(_class_table(evaluation))
        console.print()
    for line in seen_lines(evaluation, scorer):
        _line(console, line)


def passed_lines(evaluation: Evaluation) -> list[str]:
    """Say which labelled pairs are no part of the figures, and why."""
    passed = evaluation.passed
    counts = {
        "pairs that the model cannot read": evaluation.left_out,
        "pairs beyond --per-relation": passed.beyond,
        "pairs that state several relations": passed.several,
        "pairs that state no relation": passed.unrelated,
        f"pairs that state one of {len(passed.other)} other relations": passed.other.total(),
    }
    lines = [f"not measured: {count:,} {what}" for what, count in counts.items() if count]
    if missing := evaluation.without_pairs:
        lines.append(f"stated by no pair: {some(missing)}")
    return lines


def seen_lines(evaluation: Evaluation, scorer: Scorer) -> list[str]:
    """Say what the model was trained on, and which of the measured relations it had seen."""
    overlap, total = evaluation.overlap, len(evaluation.relations)
    unseen = total - len(overlap.same)
    trained = f"trained on {', '.join(scorer.seen_data) or 'data that it does not name'}"
    lines = [f"{trained}: {len(scorer.seen_relations)} relations", f"zero-shot: {unseen} of {total} relations"]
    for what, found in (
        ("seen in training", sorted(overlap.identical)),
        ("seen under another name", _pointers(seen_by_other_name(overlap))),
        ("close in meaning to one seen", _pointers(overlap.near)),
    ):
        if found:
            lines.append(f"  {what} ({len(found)}): {some(found)}")
    return lines


def figures(evaluation: Evaluation, scorer: Scorer, per_class: bool = False) -> dict[str, Any]:
    """Return what is logged of the model and the measurement; figures are in percent."""
    report, passed, overlap = evaluation.report, evaluation.passed, evaluation.overlap
    line = {
        "model": scorer.name,
        "fingerprint": scorer.fingerprint,
        "seen_data": list(scorer.seen_data),
        "relations": len(evaluation.relations),
        "pairs": evaluation.pairs,
        "left_out": evaluation.left_out,
        "passed": {
            "beyond": passed.beyond,
            "several": passed.several,
            "unrelated": passed.unrelated,
            "other": passed.other.total(),
        },
        "without_pairs": list(evaluation.without_pairs),
        "precision": round(100 * report.paper_precision, 2),
        "recall": round(100 * report.paper_recall, 2),
        "f1": round(100 * report.paper_f1, 2),
        "sklearn_macro_f1": round(100 * report.macro_f1, 2),
        "seen": sorted(overlap.identical),
        "seen_by_other_name": {key: list(ids) for key, ids in seen_by_other_name(overlap).items()},
        "near": {key: list(ids) for key, ids in overlap.near.items()},
    }
    if per_class:
        line["per_class"] = {
            relation: {
                "precision": round(100 * scores.precision, 2),
                "recall": round(100 * scores.recall, 2),
                "f1": round(100 * scores.f1, 2),
                "pairs": scores.support,
            }
            for relation, scores in report.relations.items()
        }
    return line


def seen_by_other_name(overlap: Overlap) -> dict[str, tuple[str, ...]]:
    """Return the relations that were seen, but not under their own id, with the ids they were seen under."""
    return {relation: seen for relation, seen in overlap.same.items() if relation not in seen}


def _class_table(evaluation: Evaluation) -> Table:
    overlap = evaluation.overlap
    table = _table("relation", "name", "precision", "recall", "F1", "pairs", "seen in training")
    for relation, scores in evaluation.report.relations.items():
        if seen := overlap.same.get(relation):
            mark = "yes" if relation in seen else f"as {'/'.join(seen)}"
        else:
            mark = f"close: {'/'.join(overlap.near[relation])}" if relation in overlap.near else ""
        values = map(_percent, (scores.precision, scores.recall, scores.f1))
        name = evaluation.relations[relation].name
        table.add_row(Text(relation), Text(name), *values, f"{scores.support:,}", Text(mark))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column in ("precision", "recall", "F1", "pairs")
        table.add_column(column, justify="right" if number else "left", no_wrap=number)
    return table


def _line(console: Console, text: str) -> None:
    """Print a line as it is: names hold brackets, and a line is wrapped by the terminal or not at all."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _pointers(ids: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [f"{relation} ({'/'.join(seen)})" for relation, seen in ids.items()]
