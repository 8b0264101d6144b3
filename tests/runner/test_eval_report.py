from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from tests.runner.test_evaluate import examples, scorer
from zsre.relations.relation import Relation, RelationSet
from zsre.runner.eval_report import figures, show
from zsre.runner.evaluate import Evaluation, Passed, evaluate

RELATIONS = RelationSet(
    (
        Relation("P112", "founded by [old]", "who founded this organisation"),
        Relation("P26", "spouse", "the person this person married"),
        Relation("P19", "place of birth", "where this person was born"),
        Relation("P155", "follows", "what came before"),
        Relation("[x]", "odd", "nothing"),
    )
)
PASSED = Passed(unrelated=1200, several=3, other=Counter(P998=4, P999=1), beyond=7)


def evaluation(passed: Passed | None = None, seen: tuple[str, ...] = ()) -> Evaluation:
    return evaluate(scorer(seen=seen), examples(), RELATIONS, passed or Passed())


def shown(found: Evaluation, seen: tuple[str, ...] = (), per_class: bool = False, width: int = 100) -> list[str]:
    written = io.StringIO()
    show(Console(file=written, width=width), found, scorer(seen=seen), per_class)
    return [line.rstrip() for line in written.getvalue().splitlines()]


def test_what_a_person_sees() -> None:
    assert shown(evaluation(PASSED)) == [
        "fake: 8 pairs, each classified among 5 relations",
        "  not measured: 7 pairs beyond --per-relation",
        "  not measured: 3 pairs that state several relations",
        "  not measured: 1,200 pairs that state no relation",
        "  not measured: 5 pairs that state one of 2 other relations",
        "  stated by no pair: P19, P155, [x]",
        "",
        "                              precision  recall     F1",
        "macro, as in the paper            47.22   62.50  53.80",
        "macro F1, as in scikit-learn                     44.05",
        "",
        "trained on some: 0 relations",
        "zero-shot: 5 of 5 relations",
    ]


def test_what_was_seen_in_training_is_said() -> None:
    seen = ("P26", "P112", "P156", "Entity-Origin")
    assert shown(evaluation(seen=seen), seen)[-5:] == [
        "trained on some: 4 relations",
        "zero-shot: 2 of 5 relations",
        "  seen in training (2): P112, P26",
        "  seen under another name (1): P155 (P156)",
        "  close in meaning to one seen (1): P19 (Entity-Origin)",
    ]


def test_each_relation_may_be_shown_with_what_it_was_seen_as() -> None:
    seen = ("P112", "Entity-Origin")
    lines = shown(evaluation(seen=seen), seen, per_class=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("relation"))
    assert [line.split() for line in lines[start : start + 5]] == [
        ["relation", "name", "precision", "recall", "F1", "pairs", "seen", "in", "training"],
        ["P112", "founded", "by", "[old]", "75.00", "75.00", "75.00", "4", "yes"],
        ["P19", "place", "of", "birth", "0.00", "0.00", "0.00", "0", "close:", "Entity-Origin"],
        ["P26", "spouse", "66.67", "50.00", "57.14", "4"],
        [],
    ]


def test_a_narrow_terminal_cuts_no_figure() -> None:
    lines = shown(evaluation(), per_class=True, width=60)
    for figure in ("47.22", "62.50", "53.80", "44.05", "66.67", "57.14"):
        assert sum(figure in line for line in lines) == 1
    assert "fake: 8 pairs, each classified among 5 relations" in lines


def test_the_figures_are_logged_in_percent() -> None:
    seen = ("P26", "P156", "Entity-Origin")
    line = figures(evaluation(PASSED, seen), scorer(seen=seen))
    assert line == {
        "model": "fake",
        "fingerprint": "f" * 32,
        "seen_data": ["some"],
        "relations": 5,
        "pairs": 8,
        "left_out": 0,
        "passed": {"beyond": 7, "several": 3, "unrelated": 1200, "other": 5},
        "without_pairs": ["P19", "P155", "[x]"],
        "precision": 47.22,
        "recall": 62.5,
        "f1": 53.8,
        "sklearn_macro_f1": 44.05,
        "seen": ["P26"],
        "seen_by_other_name": {"P155": ["P156"]},
        "near": {"P19": ["Entity-Origin"]},
    }


def test_each_relation_is_logged_where_it_was_asked_for() -> None:
    line = figures(evaluation(), scorer(), per_class=True)
    assert line["per_class"] == {
        "P112": {"precision": 75.0, "recall": 75.0, "f1": 75.0, "pairs": 4},
        "P19": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "pairs": 0},
        "P26": {"precision": 66.67, "recall": 50.0, "f1": 57.14, "pairs": 4},
    }
