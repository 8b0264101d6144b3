"""What people and logs are told of a measurement."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table

from zsre.relations.metrics import ClassificationReport, confusable_relations, confusion_pairs
from zsre.runner.evaluate import Evaluation, some
from zsre.runner.overlap_report import named, overlap_figures, overlap_lines, seen_mark
from zsre.runner.scorer import Scorer
from zsre.runner.tables import figures_table, name_cell, percent, print_line

#: Rows of a table of confusions.
SHOWN: Final = 10
#: Confusions in a line of the log: all that 16 relations can have, the worst of more.
LOGGED: Final = 240


def show(console: Console, evaluation: Evaluation, scorer: Scorer, per_class: bool) -> None:
    """Print the figures for people."""
    report, relations, name = evaluation.report, evaluation.relations, scorer.contract.name
    print_line(console, f"{name}: {evaluation.pairs:,} pairs, each classified among {len(relations)} relations")
    for line in passed_lines(evaluation):
        print_line(console, f"  {line}")
    print_line(console, f"  {speed_line(evaluation, scorer)}")
    console.print()
    paper = (report.paper_precision, report.paper_recall, report.paper_f1)
    table = figures_table("", "precision", "recall", "F1")
    table.add_row("macro, as in the paper", *map(percent, paper))
    table.add_row("macro F1, as in scikit-learn", "", "", percent(report.macro_f1))
    console.print(table)
    console.print()
    if per_class:
        console.print(_class_table(evaluation))
        console.print()
        _show_confusions(console, evaluation)
    for line in seen_lines(evaluation, scorer):
        print_line(console, line)


def passed_lines(evaluation: Evaluation) -> list[str]:
    """Say which labelled pairs are no part of the figures, and why."""
    passed = evaluation.passed
    counts = {
        "pairs that the model cannot read": evaluation.left_out,
        f"pairs in sentences of the training data ({', '.join(passed.training_data)})": passed.shared,
        "pairs beyond --per-relation": passed.beyond,
        "pairs that state several relations": passed.several,
        "pairs that state no relation": passed.unrelated,
        f"pairs that state one of {len(passed.other)} other relations": passed.other.total(),
    }
    lines = [f"not measured: {count:,} {what}" for what, count in counts.items() if count]
    if missing := evaluation.without_pairs:
        lines.append(f"stated by no pair: {some(missing)}")
    return lines


def speed_line(evaluation: Evaluation, scorer: Scorer) -> str:
    """Say how fast the pairs were scored, and on what."""
    rate = f"{evaluation.pairs_per_second:,.0f} pairs a second"
    return f"scored in {evaluation.seconds:,.1f} s on {scorer.device}: {rate}"


def seen_lines(evaluation: Evaluation, scorer: Scorer) -> list[str]:
    """Say what the model was trained on, and which of the measured relations and sentences it had seen."""
    lines = overlap_lines(
        evaluation.overlap, evaluation.relations, scorer.contract, evaluation.without_pairs, by="pairs"
    )
    if evaluation.passed.training_data:
        lines.append(f"measured on no sentence of the training data ({', '.join(evaluation.passed.training_data)})")
    else:
        lines.append("measured sentences may have been trained on; --training-data FILE leaves such sentences out")
    return lines


def figures(evaluation: Evaluation, scorer: Scorer, per_class: bool = False) -> dict[str, Any]:
    """Return what is logged of the model and the measurement; figures are in percent."""
    report, passed = evaluation.report, evaluation.passed
    line = {
        "model": scorer.contract.name,
        "fingerprint": scorer.contract.fingerprint,
        "seen_data": list(scorer.contract.seen_data),
        "relations": len(evaluation.relations),
        "pairs": evaluation.pairs,
        "left_out": evaluation.left_out,
        "training_data": list(passed.training_data),
        "passed": {
            "shared": passed.shared,
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
        **overlap_figures(evaluation.overlap),
        "device": scorer.device,
        "seconds": round(evaluation.seconds, 3),
        "pairs_per_second": round(evaluation.pairs_per_second, 1),
    }
    return line | class_figures(report) if per_class else line


def class_figures(report: ClassificationReport) -> dict[str, Any]:
    """Return what is logged of each relation, and of which were taken for which; shares are in percent."""
    return {
        "per_class": {
            relation: {
                "precision": round(100 * scores.precision, 2),
                "recall": round(100 * scores.recall, 2),
                "f1": round(100 * scores.f1, 2),
                "pairs": scores.support,
            }
            for relation, scores in report.relations.items()
        },
        "confusion_pairs": [
            [each.stated, each.given, each.count, round(100 * each.share, 2)]
            for each in confusion_pairs(report)[:LOGGED]
        ],
        "confusable": [
            [each.first, each.second, each.count, round(100 * each.share, 2)]
            for each in confusable_relations(report)[:SHOWN]
        ],
    }


def _class_table(evaluation: Evaluation) -> Table:
    table = figures_table("relation", "name", "precision", "recall", "F1", "pairs", "seen in training")
    for relation, scores in evaluation.report.relations.items():
        values = map(percent, (scores.precision, scores.recall, scores.f1))
        names = name_cell(relation), name_cell(evaluation.relations[relation].name)
        mark = name_cell(seen_mark(evaluation.overlap, relation))
        table.add_row(*names, *values, f"{scores.support:,}", mark)
    return table


def _show_confusions(console: Console, evaluation: Evaluation) -> None:
    """Print the most frequent confusions, and the relations that are told apart worst."""
    confusions = confusion_pairs(evaluation.report)
    if not confusions:
        return
    frequent = figures_table("stated", "given instead", "pairs", "share")
    for each in confusions[:SHOWN]:
        relations = (name_cell(named(evaluation.relations, relation)) for relation in (each.stated, each.given))
        frequent.add_row(*relations, f"{each.count:,}", percent(each.share))
    confusable = confusable_relations(evaluation.report)
    worst = figures_table("relation", "and", "1st as 2nd", "2nd as 1st", "share")
    for couple in confusable[:SHOWN]:
        relations = (name_cell(named(evaluation.relations, relation)) for relation in (couple.first, couple.second))
        counts = (f"{couple.first_as_second:,}", f"{couple.second_as_first:,}")
        worst.add_row(*relations, *counts, percent(couple.share))
    for title, table, total in (
        ("most frequent confusions", frequent, len(confusions)),
        ("most confusable relations", worst, len(confusable)),
    ):
        print_line(console, f"{title}, {min(SHOWN, total)} of {total:,}")
        console.print(table)
        console.print()
