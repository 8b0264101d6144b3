from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from scripts import add_bystanders as script
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_own import write_labelled
from zsre.relations.readers import read_labelled
from zsre.runner.pipeline import load_pipeline

TEXT = "Bill Gates married Melinda French in Hawaii, and Steve Ballmer sang for Bill gates and Microsoft."
STATED = LabelledPair(0, 1, frozenset({"P26"}))


def _sentence(number: int = 0, relation: str = "P26") -> LabelledSentence:
    spans = [(TEXT.index(name), TEXT.index(name) + len(name)) for name in ("Bill Gates", "Melinda French")]
    pair = LabelledPair(0, 1, frozenset({relation}))
    return LabelledSentence(f"s/{number}", "made", TEXT, tuple(Mention(*span) for span in spans), (pair,))


def _added(sentence: LabelledSentence) -> LabelledSentence:
    (found,) = script.add_bystanders([sentence], load_pipeline(), random.Random(1))
    return found


def test_bystanders_are_negatives_for_what_the_sentence_states_alone() -> None:
    found = _added(_sentence())
    names = [found.text[mention.start : mention.end] for mention in found.mentions]
    assert names[:2] == ["Bill Gates", "Melinda French"]
    assert {"Hawaii", "Steve Ballmer"} <= set(names[2:]), "who reads like a labelled mention may be the same"
    assert "Bill gates" not in names
    first, *others = found.pairs
    assert first == STATED
    assert 0 < len(others) <= script.MOST_PAIRS
    for pair in others:
        assert (pair.relations, pair.looked_for) == (frozenset(), frozenset({"P26"}))
        assert max(pair.head, pair.tail) >= 2
    shared = [not {0, 1}.isdisjoint((pair.head, pair.tail)) for pair in others]
    assert shared == sorted(shared, reverse=True), "pairs with an end of the stated pair come first"


def test_a_sentence_that_states_nothing_has_nothing_to_be_a_negative_for() -> None:
    sentence = LabelledSentence("s", "made", TEXT, _sentence().mentions, (LabelledPair(0, 1, frozenset()),))
    assert _added(sentence).pairs == sentence.pairs


def test_each_relation_is_drawn_so_often_where_it_can_be() -> None:
    sentences = [_sentence(number, "P26" if number % 4 else "P112") for number in range(40)]
    drawn = script.draw(sentences, 15, random.Random(2))
    assert Counter(next(iter(script.stated_relations(one))) for one in drawn) == {"P26": 15, "P112": 10}
    assert drawn == script.draw(sentences, 15, random.Random(2)) != script.draw(sentences, 15, random.Random(3))


def test_the_file_is_labelled_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
    write_labelled(data, [_sentence(number) for number in range(5)])
    monkeypatch.setattr("sys.argv", ["add_bystanders", str(data), str(output), "--per-relation", "3"])
    assert script.main() == 0
    assert len(list(read_labelled(output))) == 3
    assert capsys.readouterr().out == f"{output}: 3 sentences\n"
    monkeypatch.setattr("sys.argv", ["add_bystanders", str(tmp_path / "none.jsonl"), str(output)])
    assert script.main() == 2
    assert "none.jsonl: there is no such file" in capsys.readouterr().err
