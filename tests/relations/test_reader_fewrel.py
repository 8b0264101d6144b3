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
TOKENS = ["Ann", "Lee", "'s", "firm", ",", "Acme", ",", "grew", "."]
FEWREL = {"P112": [{"tokens": TOKENS, "h": ["acme", "Q1", [[5]]], "t": ["ann lee", None, [[0, 1], [3]]]}]}
WIKI80 = {
    "token": TOKENS,
    "h": {"name": "acme", "id": "Q1", "pos": [5, 6]},
    "t": {"pos": [0, 2]},
    "relation": "founder",
}
WIKI80_TEXT = {
    "text": "Ann Lee's firm, Acme, grew.",
    "h": {"pos": [16, 20]},
    "t": {"pos": [0, 7]},
    "relation": "founder",
}
WIKIZSL = {
    "tokens": TOKENS,
    "triples": [
        {"head": [5], "tail": [0, 1], "label_id": "P112", "label": "founded by", "src": "whole"},
        {"head": [0, 1], "tail": [5], "label_id": "P108", "label": "employer", "src": "whole"},
        {"head": [5, 8], "tail": [0, 1], "label_id": "P127", "label": "owned by", "src": "whole"},
    ],
}


def test_fewrel_has_one_pair_and_a_unique_id(save: Save) -> None:
    two = {"P112": FEWREL["P112"] * 2}
    first, second = read_labelled(save(json.dumps(two)))
    assert (first.id, second.id, first.source) == ("P112/0", "P112/1", "fewrel")
    assert len(first.pairs) == 1
    assert first.pairs[0].looked_for is None


def test_wiki80_may_give_text_with_character_positions(save: Save, stated: Stated) -> None:
    [sentence] = read_labelled(save(json.dumps(WIKI80_TEXT), "wiki80_val.jsonl.gz"))
    assert stated(sentence) == {("Acme", "founder", "Ann Lee")}
    assert (sentence.id, sentence.source) == ("wiki80_val/1", "wiki80")


def test_wikizsl_triples_share_mentions(save: Save, pair_between: PairBetween) -> None:
    [sentence] = read_labelled(save(json.dumps(WIKIZSL)))
    assert len(sentence.mentions) == 2
    # [5, 8] is one mention and another one: the first counts.
    assert pair_between(sentence, "Acme", "Ann Lee").relations == {"P112", "P127"}
    assert pair_between(sentence, "Ann Lee", "Acme").relations == {"P108"}


@pytest.mark.parametrize(
    ("format", "record", "seen"),
    [
        ("wiki80", {**WIKI80, "h": {"pos": [5, 10]}}, 'field "h.pos": there is no token 9 in a sentence of 9 tokens'),
        ("wiki80", {**WIKI80, "h": {"pos": [-1, 2]}}, 'field "h.pos": there is no token -1 in a sentence of 9 tokens'),
        ("wiki80", {**WIKI80, "h": {"pos": [5, 5]}}, 'field "h.pos": [5, 5] is an empty mention; its end is exclusive'),
        ("wiki80", {**WIKI80, "h": {"pos": [5]}}, 'field "h.pos": [5] is not a span; give its start and end: [3, 5]'),
        ("wiki80", {**WIKI80, "h": "acme"}, 'line 1: field "h": "acme" is not a JSON object'),
        ("wiki80", {**WIKI80, "token": ["a", 1]}, 'line 1: field "token": 1 is not a string'),
        (
            "wikizsl",
            {**WIKIZSL, "triples": [{"head": [], "tail": [0], "label_id": "P1"}]},
            'line 1: field "triples[0].head": is an empty mention; give the indices of its tokens',
        ),
        (
            "fewrel",
            {"P1": [{"tokens": TOKENS, "h": ["a", None, [[12]]], "t": ["b", None, [[0]]]}]},
            'P1 instance 0: field "h": there is no token 12 in a sentence of 9 tokens; indices count from 0',
        ),
        (
            "fewrel",
            {"P1": [{"tokens": TOKENS, "h": ["a", None, []], "t": ["b", None, [[0]]]}]},
            'P1 instance 0: field "h": is no argument; it should read [name, id or null, [[token indices], …]]',
        ),
    ],
)
def test_broken_record(save: Save, failure: Failure, format: str, record: object, seen: str) -> None:
    message = failure(save(json.dumps(record)), format)
    assert message.startswith("FILE")
    assert seen in message
