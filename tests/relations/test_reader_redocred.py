import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.readers import read_labelled

Save: TypeAlias = Callable[..., Path]
Failure: TypeAlias = Callable[..., str]
PairBetween: TypeAlias = Callable[[LabelledSentence, str, str], LabelledPair]
REDOCRED = {
    "title": "Acme",
    "sents": [["Acme", "of", "Rome", "hired", "Ann", "."], ["Ann", "left", "Acme", "."]],
    "vertexSet": [
        [
            {"name": "Acme", "pos": [0, 1], "sent_id": 0, "type": "ORG"},
            {"name": "Acme", "pos": [2, 3], "sent_id": 1, "type": "ORG"},
        ],
        [{"name": "Rome", "pos": [2, 3], "sent_id": 0, "type": "LOC"}],
        [
            {"name": "Ann", "pos": [4, 5], "sent_id": 0, "type": "PER"},
            {"name": "Ann", "pos": [0, 1], "sent_id": 1, "type": "PER"},
        ],
    ],
    "labels": [
        {"h": 2, "t": 0, "r": "P108", "evidence": [0]},
        {"h": 0, "t": 1, "r": "P159", "evidence": []},
        {"h": 0, "t": 1, "r": "P276", "evidence": [0]},
    ],
}


def without(record: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in record.items() if name != key}


def test_decides_on_pairs_by_evidence(save: Save, pair_between: PairBetween) -> None:
    first, second = read_labelled(save(json.dumps([REDOCRED])))
    assert (first.id, second.id, first.source) == ("Acme/0", "Acme/1", "redocred")
    assert [mention.type for mention in first.mentions] == ["ORG", "PLACE", "PERSON"]
    assert len(first.pairs) == 6
    assert pair_between(first, "Ann", "Acme") == LabelledPair(2, 0, frozenset({"P108"}))
    # P159 holds in the document but nothing says that this sentence states it.
    head_office = pair_between(first, "Acme", "Rome")
    assert (head_office.relations, head_office.looked_for) == ({"P276"}, {"P108", "P276"})
    nothing = pair_between(first, "Rome", "Ann")
    assert (nothing.relations, nothing.looked_for) == (frozenset(), None)
    # The second sentence is no evidence for P108.
    elsewhere = pair_between(second, "Ann", "Acme")
    assert (elsewhere.relations, elsewhere.looked_for) == (frozenset(), {"P159", "P276"})


def test_pairs_no_two_mentions_of_an_entity(save: Save) -> None:
    document = {**REDOCRED, "sents": [["Acme", "is", "Acme", "."]], "labels": []}
    document["vertexSet"] = [
        [{"name": "Acme", "pos": [at, at + 1], "sent_id": 0, "type": "ORG"} for at in (0, 2, 2)],
    ]
    [sentence] = read_labelled(save(json.dumps([document])))
    assert len(sentence.mentions) == 2
    assert sentence.pairs == ()


def test_span_of_two_entities_holds_what_either_does(save: Save, pair_between: PairBetween) -> None:
    # Acme the firm and Acme the town: P17 is stated of one, and true of the other without evidence.
    document = {**REDOCRED, "sents": [["Acme", "of", "Italy"]], "vertexSet": [], "labels": []}
    places = [(0, "ORG"), (0, "LOC"), (2, "LOC")]
    document["vertexSet"] = [[{"pos": [at, at + 1], "sent_id": 0, "type": type}] for at, type in places]
    document["labels"] = [{"h": h, "t": 2, "r": "P17", "evidence": said} for h, said in ((0, [0]), (1, []))]
    [sentence] = read_labelled(save(json.dumps([document])))
    assert len(sentence.mentions) == 2
    assert pair_between(sentence, "Acme", "Italy") == LabelledPair(0, 1, frozenset({"P17"}), None)


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        (
            [{**REDOCRED, "vertexSet": [[{"pos": [0, 1], "sent_id": 4, "type": "ORG"}]], "labels": []}],
            'document 0: field "vertexSet[0][0].sent_id": there is no sentence 4 in a document that has 2',
        ),
        (
            [{**REDOCRED, "vertexSet": [[{"pos": [0, 1], "sent_id": 0, "type": "GPE"}]], "labels": []}],
            'field "vertexSet[0][0].type": "GPE" is no entity type of DocRED; those are PER, ORG, LOC, TIME, NUM, MISC',
        ),
        (
            [{**REDOCRED, "labels": [{"h": 0, "t": 9, "r": "P1", "evidence": []}]}],
            'document 0: field "labels[0].t": there is no entity 9 in a document that has 3, counted from 0',
        ),
        ([without(REDOCRED, "labels")], 'document 0: field "labels": is missing'),
    ],
)
def test_broken_record(save: Save, failure: Failure, record: object, seen: str) -> None:
    message = failure(save(json.dumps(record)), "redocred")
    assert message.startswith("FILE")
    assert seen in message
