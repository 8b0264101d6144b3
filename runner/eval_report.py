"""What people and logs are told of a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsre.relations.equivalents import Overlap
from zsre.relations.metrics import ClassificationReport, confusable_relations, confusion_pairs
from zsre.runner.evaluate import Evaluation, some
from zsre.runner.scorer import Scorer

#: Rows of a table of confusions.
SHOWN: Final = 10
#: Confusions in a line of the log: all that 16 relations can have, the worst of more.
LOGGED: Final = 240
_NUMBERS: Final = frozenset({"precision", "recall", "F1", "pairs", "share", "1st as 2nd", "2nd as 1st"})


def show(console: Console, evaluation: Evaluation, scorer: Scorer, per_class: bool) -> None:
    """Print the figures for people."""
    report, relations, name = evaluation.report, evaluation.relations, scorer.contract.name
    _line(console, f"{name}: {evaluation.pairs:,} pairs, each classified among {len(relations)} relations")
    for line in passed_lines(evaluation):
        _line(console, f"  {line}")
    _line(console, f"  {speed_line(evaluation, scorer)}")
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
        _show_confusions(console, evaluation)
    for line in seen_lines(evaluation, scorer):
        _line(console, line)


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
    overlap, ids = evaluation.overlap, evaluation.relations.ids
    source = ", ".join(scorer.contract.seen_data) or "data that it does not name"
    zero_shot = f"zero-shot, so not trained on under any name: {_unseen(overlap, ids)} of {len(ids)} relations"
    if missing := frozenset(evaluation.without_pairs):
        stated = [relation for relation in ids if relation not in missing]
        zero_shot += f"; {_unseen(overlap, stated)} of the {len(stated)} that pairs state"
    lines = [f"the model was trained on {len(scorer.contract.seen_relations)} relations of {source}", zero_shot]
    for what, found in (
        ("not zero-shot, trained on", dict.fromkeys(sorted(overlap.identical), "")),
        ("not zero-shot, trained on under another name", _pointers("as", seen_by_other_name(overlap))),
        ("zero-shot, but close in meaning to one trained on", _pointers("close to", overlap.near)),
    ):
        if found:
            named = [f"{_named(evaluation, relation)}{pointer}" for relation, pointer in found.items()]
            lines.append(f"  {what} ({len(found)}): {some(named, separator='; ')}")
    if evaluation.passed.training_data:
        lines.append(f"measured on no sentence of the training data ({', '.join(evaluation.passed.training_data)})")
    else:
        lines.append("measured sentences may have been trained on; --training-data FILE leaves such sentences out")
    return lines


def figures(evaluation: Evaluation, scorer: Scorer, per_class: bool = False) -> dict[str, Any]:
    """Return what is logged of the model and the measurement; figures are in percent."""
    report, passed, overlap = evaluation.report, evaluation.passed, evaluation.overlap
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
        "seen": sorted(overlap.identical),
        "seen_by_other_name": {key: list(ids) for key, ids in seen_by_other_name(overlap).items()},
        "near": {key: list(ids) for key, ids in overlap.near.items()},
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


def _show_confusions(console: Console, evaluation: Evaluation) -> None:
    """Print the most frequent confusions, and the relations that are told apart worst."""
    confusions = confusion_pairs(evaluation.report)
    if not confusions:
        return
    frequent = _table("stated", "given instead", "pairs", "share")
    for each in confusions[:SHOWN]:
        relations = (Text(_named(evaluation, relation)) for relation in (each.stated, each.given))
        frequent.add_row(*relations, f"{each.count:,}", _percent(each.share))
    confusable = confusable_relations(evaluation.report)
    worst = _table("relation", "and", "1st as 2nd", "2nd as 1st", "share")
    for couple in confusable[:SHOWN]:
        relations = (Text(_named(evaluation, relation)) for relation in (couple.first, couple.second))
        counts = (f"{couple.first_as_second:,}", f"{couple.second_as_first:,}")
        worst.add_row(*relations, *counts, _percent(couple.share))
    for title, table, total in (
        ("most frequent confusions", frequent, len(confusions)),
        ("most confusable relations", worst, len(confusable)),
    ):
        _line(console, f"{title}, {min(SHOWN, total)} of {total:,}")
        console.print(table)
        console.print()


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column in _NUMBERS
        table.add_column(column, justify="right" if number else "left", no_wrap=number)
    return table


def _line(console: Console, text: str) -> None:
    """Print a line as it is: names hold brackets, and a line is wrapped by the terminal or not at all."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _named(evaluation: Evaluation, relation: str) -> str:
    name = evaluation.relations[relation].name
    return relation if name == relation else f"{relation} {name}"


def _unseen(overlap: Overlap, ids: Sequence[str]) -> int:
    return sum(relation not in overlap.same for relation in ids)


def _pointers(what: str, ids: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {relation: f" ({what} {'/'.join(seen)})" for relation, seen in ids.items()}
