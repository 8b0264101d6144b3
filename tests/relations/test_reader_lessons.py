from __future__ import annotations

import json
from pathlib import Path

import pytest

from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledSentence
from zsre.relations.readers import find_format, read_labelled

STATES = {"relation": "taught", "states": "In [o|Graz], [t|Ada] 😀 learned from [h|Bo]."}
SILENT = {"relation": "taught", "silent": "[h|Bo] was taught by [t|Ada] in [o|Linz]."}


def _read(tmp_path: Path, *records: object) -> list[LabelledSentence]:
    path = tmp_path / "lessons.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    assert find_format(path) == "lessons"
    return list(read_labelled(path))


def _pairs(sentence: LabelledSentence) -> dict[tuple[str, str], tuple[set[str], set[str] | None]]:
    names = [sentence.text[mention.start : mention.end] for mention in sentence.mentions]
    return {
        (names[pair.head], names[pair.tail]): (
            set(pair.relations),
            None if pair.looked_for is None else set(pair.looked_for),
        )
        for pair in sentence.pairs
    }


def test_a_stated_pair_states_nothing_else_and_the_others_not_its_relation(tmp_path: Path) -> None:
    stated, _ = _read(tmp_path, STATES, SILENT)
    assert (stated.id, stated.source, stated.text) == ("lessons/1", "lessons", "In Graz, Ada 😀 learned from Bo.")
    no: tuple[set[str], set[str]] = (set(), {"taught"})
    others = dict.fromkeys([("Ada", "Bo"), ("Graz", "Ada"), ("Ada", "Graz"), ("Graz", "Bo"), ("Bo", "Graz")], no)
    assert _pairs(stated) == {("Bo", "Ada"): ({"taught"}, None), **others}


def test_a_silent_sentence_leaves_the_other_way_round_open(tmp_path: Path) -> None:
    pairs = _pairs(_read(tmp_path, SILENT)[0])
    assert pairs["Bo", "Ada"] == (set(), {"taught"})
    assert ("Ada", "Bo") not in pairs and len(pairs) == 5


def test_what_is_symmetric_is_stated_both_ways(tmp_path: Path) -> None:
    (stated,) = _read(tmp_path, {"relation": "met", "states": "[h|Cy] met [t|Dee].", "symmetric": True})
    assert _pairs(stated) == {("Cy", "Dee"): ({"met"}, None), ("Dee", "Cy"): ({"met"}, None)}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"relation": "taught"}, 'field "states": a lesson states its relation or is silent: give one of'),
        (
            STATES | {"silent": "[h|A] met [t|B]."},
            'field "states": a lesson states its relation or is silent: give one',
        ),
        (STATES | {"states": "[h|A] met B."}, 'field "states": the tail is not marked; write it as [t|…]'),
        (
            SILENT | {"silent": "[h|A] [h|B] [t|C]"},
            'field "silent": there is more than one [h|…]; mark each end once',
        ),
        (STATES | {"relation": 3}, 'field "relation": 3 is not a string'),
        (STATES | {"symmetric": 1}, 'field "symmetric": 1 is neither true nor false'),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, record: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        _read(tmp_path, STATES, record)
    assert str(caught.value).startswith(f"{tmp_path / 'lessons.jsonl'}, line 2: {message}")
