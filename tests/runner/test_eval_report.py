from __future__ import annotations

import dataclasses
import io
from collections import Counter

import pytest
from rich.console import Console

from tests.runner.fakes import FakeEngine
from tests.runner.test_evaluate import example, examples
from zsre.relations.metrics import classification_report
from zsre.relations.relation import Relation, RelationSet
from zsre.runner import eval_report
from zsre.runner.eval_report import LOGGED, class_figures, figures, show
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
    found = evaluate(FakeEngine(seen=seen), examples(), RELATIONS, passed or Passed())
    return dataclasses.replace(found, seconds=0.2)


def shown(found: Evaluation, seen: tuple[str, ...] = (), per_class: bool = False, width: int = 100) -> list[str]:
    written = io.StringIO()
    show(Console(file=written, width=width), found, FakeEngine(seen=seen), per_class)
    return [line.rstrip() for line in written.getvalue().splitlines()]


def test_what_a_person_sees() -> None:
    assert shown(evaluation(PASSED)) == [
        "fake: 8 pairs, each classified among 5 relations",
        "  not measured: 7 pairs beyond --per-relation",
        "  not measured: 3 pairs that state several relations",
        "  not measured: 1,200 pairs that state no relation",
        "  not measured: 5 pairs that state one of 2 other relations",
        "  stated by no pair: P19, P155, [x]",
        "  scored in 0.2 s on CPU: 40 pairs a second",
        "",
        "                              precision  recall     F1",
        "macro, as in the paper            47.22   62.50  53.80",
        "macro F1, as in scikit-learn                     44.05",
        "",
        "the model was trained on 0 relations of some",
        "zero-shot, so not trained on under any known name: 5 of 5 relations; 2 of the 2 that pairs state",
        "measured sentences may have been trained on; --training-data FILE leaves such sentences out",
    ]


def test_sentences_of_the_training_data_that_were_left_out_are_said() -> None:
    lines = shown(evaluation(Passed(shared=1200, training_data=("a.json", "b.json"))))
    assert lines[1] == "  not measured: 1,200 pairs in sentences of the training data (a.json, b.json)"
    assert lines[-1] == "measured on no sentence of the training data (a.json, b.json)"


def test_no_sentence_was_shared_with_the_training_data() -> None:
    lines = shown(evaluation(Passed(training_data=("a.json",))))
    assert not any("pairs in sentences" in line for line in lines)
    assert lines[-1] == "measured on no sentence of the training data (a.json)"


def test_what_was_seen_in_training_is_said() -> None:
    seen = ("P26", "P112", "P156", "Entity-Origin")
    assert shown(evaluation(seen=seen), seen)[-6:-1] == [
        "the model was trained on 4 relations of some",
        "zero-shot, so not trained on under any known name: 2 of 5 relations; 0 of the 2 that pairs state",
        "  not zero-shot, trained on (2): P112 founded by [old]; P26 spouse",
        "  not zero-shot, trained on under another name (1): P155 follows (as P156)",
        "  zero-shot, but close in meaning to one trained on (1): P19 place of birth (close to Entity-Origin)",
    ]


def test_where_every_relation_is_stated_they_are_counted_once() -> None:
    relations = RelationSet(tuple(RELATIONS)[:2])
    found = evaluate(FakeEngine(), examples(), relations, Passed())
    assert "zero-shot, so not trained on under any known name: 2 of 2 relations" in shown(found)


def test_a_relation_that_is_named_by_its_id_is_named_once() -> None:
    spouse = Relation("spouse", "spouse", "who married")
    found = evaluate(
        FakeEngine(seen=("spouse",)), [example("Ann married Bob.", "spouse")], RelationSet((spouse,)), Passed()
    )
    assert "  not zero-shot, trained on (1): spouse" in shown(found, ("spouse",))


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


def test_confusions_and_confusable_relations_are_shown_with_the_rest_on_request() -> None:
    lines = shown(evaluation(), per_class=True)
    start = lines.index("most frequent confusions, 3 of 3")
    assert lines[start : start + 11] == [
        "most frequent confusions, 3 of 3",
        "stated                 given instead          pairs  share",
        "P112 founded by [old]  P26 spouse                 1  25.00",
        "P26 spouse             P112 founded by [old]      1  25.00",
        "P26 spouse             P19 place of birth         1  25.00",
        "",
        "most confusable relations, 2 of 2",
        "relation               and         1st as 2nd  2nd as 1st  share",
        "P112 founded by [old]  P26 spouse           1           1  25.00",
        "P19 place of birth     P26 spouse           0           1  25.00",
        "",
    ]
    assert not any("confus" in line for line in shown(evaluation()))


def test_tables_of_confusions_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_report, "SHOWN", 1)
    lines = shown(evaluation(), per_class=True)
    first, second = lines.index("most frequent confusions, 1 of 3"), lines.index("most confusable relations, 1 of 2")
    assert lines[first + 3] == lines[second + 3] == ""


def test_without_a_confusion_there_is_no_table_of_them() -> None:
    right = evaluate(FakeEngine(), [example("Ann married Bob.", "P26")], RELATIONS, Passed())
    assert not any("confus" in line for line in shown(right, per_class=True))


def test_a_narrow_terminal_cuts_no_figure() -> None:
    lines = shown(evaluation(), per_class=True, width=60)
    for figure in ("47.22", "62.50", "53.80", "44.05", "66.67", "57.14"):
        assert sum(figure in line for line in lines) == 1
    assert "fake: 8 pairs, each classified among 5 relations" in lines


def test_the_figures_are_logged_in_percent() -> None:
    seen = ("P26", "P156", "Entity-Origin")
    line = figures(evaluation(PASSED, seen), FakeEngine(seen=seen))
    assert line == {
        "model": "fake",
        "fingerprint": "f" * 32,
        "seen_data": ["some"],
        "relations": 5,
        "pairs": 8,
        "left_out": 0,
        "training_data": [],
        "passed": {"shared": 0, "beyond": 7, "several": 3, "unrelated": 1200, "other": 5},
        "without_pairs": ["P19", "P155", "[x]"],
        "precision": 47.22,
        "recall": 62.5,
        "f1": 53.8,
        "sklearn_macro_f1": 44.05,
        "seen": ["P26"],
        "seen_by_other_name": {"P155": ["P156"]},
        "near": {"P19": ["Entity-Origin"]},
        "device": "CPU",
        "seconds": 0.2,
        "pairs_per_second": 40.0,
    }


def test_what_was_left_out_for_the_training_data_is_logged() -> None:
    line = figures(evaluation(Passed(shared=5, training_data=("a.json", "b.json"))), FakeEngine())
    assert (line["training_data"], line["passed"]["shared"]) == (["a.json", "b.json"], 5)


def test_each_relation_is_logged_where_it_was_asked_for() -> None:
    line = figures(evaluation(), FakeEngine(), per_class=True)
    assert line["per_class"] == {
        "P112": {"precision": 75.0, "recall": 75.0, "f1": 75.0, "pairs": 4},
        "P19": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "pairs": 0},
        "P26": {"precision": 66.67, "recall": 50.0, "f1": 57.14, "pairs": 4},
    }
    assert line["confusion_pairs"] == [["P112", "P26", 1, 25.0], ["P26", "P112", 1, 25.0], ["P26", "P19", 1, 25.0]]
    assert line["confusable"] == [["P112", "P26", 2, 25.0], ["P19", "P26", 1, 25.0]]


def test_a_line_of_the_log_stays_short_however_many_relations_there_are() -> None:
    couples = [(f"P{one}", f"P{other}") for one in range(17) for other in range(17) if one != other]
    few = [couple for couple in couples if "P16" not in couple]
    for given, length in ((few, 240), (couples, LOGGED)):
        line = class_figures(classification_report(*zip(*given, strict=True)))
        assert (len(line["confusion_pairs"]), len(line["confusable"])) == (length, 10)
