from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from scripts import make_lessons as script
from zsre.relations.examples import LabelledSentence
from zsre.relations.readers import read_labelled
from zsre.relations.relations_file import read_relations

TAUGHT = {
    "id": "taught",
    "name": "taught",
    "description": "whom this person taught",
    "also": ["A had B as a pupil", "the apprentice"],
    "head": {"types": ["PERSON"], "terms": ["teacher"]},
    "tail": {"types": ["PERSON"], "terms": ["pupil"]},
    "states": ["In [o|Graz], [t|Ada] learned from [h|Bo]."],
    "silent": ["[h|Bo] was taught by [t|Ada] in [o|Linz]."],
}
MET = {
    **TAUGHT, "id": "met", "name": "met", "symmetric": True,
    "states": ["[h|Cy] met [t|Dee]."], "silent": ["[h|Cy] never met [t|Dee]."],
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that is made of two relations."""
    (tmp_path / "lessons").mkdir()
    for name, relation in (("b", MET), ("a", TAUGHT)):
        (tmp_path / "lessons" / f"{name}.yaml").write_text(yaml.safe_dump([relation]), "utf-8")
    monkeypatch.setattr(sys, "argv", ["make_lessons", str(tmp_path / "lessons"), str(tmp_path / "made" / "lessons")])
    assert script.main() == 0
    return tmp_path / "made" / "lessons"


def _pairs(sentence: LabelledSentence) -> dict[tuple[str, str], tuple[set[str], set[str] | None]]:
    names = [sentence.text[mention.start : mention.end] for mention in sentence.mentions]
    return {
        (names[pair.head], names[pair.tail]): (
            set(pair.relations),
            None if pair.looked_for is None else set(pair.looked_for),
        )
        for pair in sentence.pairs
    }


def test_each_relation_comes_in_three_wordings(made: Path) -> None:
    files = ("relations.yaml", "wordings-1.yaml", "wordings-2.yaml")
    found = [list(read_relations(made / name)) for name in files]
    assert [[relation.id for relation in relations] for relations in found] == [["taught", "met"]] * 3
    assert [relations[0].description for relations in found] == [
        "whom this person taught", "A had B as a pupil", "the apprentice",
    ]  # fmt: skip
    assert [relation.symmetric for relation in found[1]] == [False, True]
    assert {relations[0].tail.terms for relations in found} == {("pupil",)}


def test_a_stated_pair_is_distinct_from_all_relations_and_the_others_are_negatives_for_its_own(made: Path) -> None:
    stated, *_ = read_labelled(made / "sentences.jsonl")
    assert (stated.id, stated.text) == ("taught/states/1", "In Graz, Ada learned from Bo.")
    silent: tuple[set[str], set[str]] = (set(), {"taught"})
    assert _pairs(stated) == {
        ("Bo", "Ada"): ({"taught"}, None),
        ("Ada", "Bo"): silent,
        ("Graz", "Ada"): silent,
        ("Ada", "Graz"): silent,
        ("Graz", "Bo"): silent,
        ("Bo", "Graz"): silent,
    }


def test_a_silent_sentence_leaves_the_other_way_round_open(made: Path) -> None:
    silent = list(read_labelled(made / "sentences.jsonl"))[1]
    pairs = _pairs(silent)
    assert pairs["Bo", "Ada"] == (set(), {"taught"})
    assert ("Ada", "Bo") not in pairs and len(pairs) == 5


def test_what_is_symmetric_is_stated_both_ways(made: Path) -> None:
    stated = list(read_labelled(made / "sentences.jsonl"))[2]
    assert _pairs(stated) == {("Cy", "Dee"): ({"met"}, None), ("Dee", "Cy"): ({"met"}, None)}


def test_a_folder_without_relations_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_lessons", str(tmp_path), str(tmp_path / "made")])
    assert script.main() == 2
    assert f"{tmp_path}: has no YAML files" in capsys.readouterr().err
