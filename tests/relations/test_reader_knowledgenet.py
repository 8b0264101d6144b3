import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from zsre.relations.examples import LabelledPair, LabelledSentence
from zsre.relations.readers import read_labelled

Save: TypeAlias = Callable[..., Path]
Failure: TypeAlias = Callable[..., str]
Stated: TypeAlias = Callable[[LabelledSentence], set[tuple[str, str, str]]]
PairBetween: TypeAlias = Callable[[LabelledSentence, str, str], LabelledPair]
KNOWLEDGENET = {
    "doc": "7",
    "start": 30,
    "text": "Ann, who runs Acme, is Bo's child.",
    "facts": [
        {"subject": "Ann", "s": [0, 3], "object": "Acme", "o": [14, 18], "relation": "EMPLOYEE_OR_MEMBER_OF"},
        {"subject": "who", "s": [5, 8], "object": "Acme", "o": [14, 18], "relation": "EMPLOYEE_OR_MEMBER_OF"},
        {"subject": "Ann", "s": [0, 3], "object": "Bo", "o": [23, 25], "relation": "CHILD_OF"},
    ],
    "annotated_relations": ["CHILD_OF", "EMPLOYEE_OR_MEMBER_OF"],
}


def test_in_wikidata_ids_and_directions(save: Save, stated: Stated, pair_between: PairBetween) -> None:
    [sentence] = read_labelled(save(json.dumps([KNOWLEDGENET])))
    assert (sentence.id, sentence.source) == ("7/30", "knowledgenet")
    assert stated(sentence) == {("Ann", "P108", "Acme"), ("who", "P108", "Acme"), ("Bo", "P40", "Ann")}
    assert len(sentence.pairs) == 12
    everything = {"P40", "P22", "P25", "P108", "P463"}
    assert sentence.complete == everything
    # Whether a job is also a membership, and a child's parent the father or the mother, the facts don't say.
    assert pair_between(sentence, "Ann", "Acme").looked_for == everything - {"P463"}
    assert pair_between(sentence, "Ann", "Bo") == LabelledPair(0, 3, frozenset(), frozenset({"P40", "P108", "P463"}))
    assert pair_between(sentence, "Acme", "Bo").looked_for == everything


def test_passage_without_facts_has_no_pairs(save: Save) -> None:
    [sentence] = read_labelled(save(json.dumps([{**KNOWLEDGENET, "facts": []}])))
    assert (sentence.mentions, sentence.pairs) == ((), ())
    assert "P108" in sentence.complete


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        (
            [{**KNOWLEDGENET, "facts": [{**KNOWLEDGENET["facts"][0], "s": [1, 4]}]}],
            'passage 0: field "facts[0].s": [1, 4] is "nn," in the text, not "Ann"; offsets count code points',
        ),
        (
            [{**KNOWLEDGENET, "annotated_relations": ["COUSIN"]}],
            'passage 0: field "annotated_relations": "COUSIN" is no relation of KnowledgeNet; those are CEO, CHILD_OF',
        ),
        ({"text": "x"}, '{"text": "x"} is not a list; this format is one list, of passages: [{…}, …]'),
    ],
)
def test_broken_record(save: Save, failure: Failure, record: object, seen: str) -> None:
    message = failure(save(json.dumps(record)), "knowledgenet")
    assert message.startswith("FILE")
    assert seen in message
