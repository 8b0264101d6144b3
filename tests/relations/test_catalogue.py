from __future__ import annotations

from pathlib import Path

import pytest

from zsre.relations.catalogue import is_catalogue, load_catalogue, load_relations
from zsre.relations.equivalents import equivalents_of
from zsre.relations.errors import RelationsFileError
from zsre.relations.relation import SPACY_TYPES, Relation
from zsre.relations.relations_file import check_types

RELATIONS = list(load_catalogue())

parametrise = pytest.mark.parametrize("relation", RELATIONS, ids=[relation.id for relation in RELATIONS])


def test_catalogue_is_large_and_its_types_are_spacys() -> None:
    catalogue = load_relations("wikidata")
    assert len(catalogue) >= 100
    assert catalogue.source == "wikidata"
    assert catalogue.types == ()
    check_types(catalogue, SPACY_TYPES)


@parametrise
def test_relation_is_complete(relation: Relation) -> None:
    assert relation.id[0] == "P"
    assert relation.id[1:].isdigit()
    assert 4 <= len(relation.description.split()) <= 40
    assert relation.description[-1] not in ".;,:"
    assert relation.head.terms
    assert relation.tail.terms
    assert relation.threshold is None


@parametrise
def test_inverses_are_mutual_and_can_hold_together(relation: Relation) -> None:
    if relation.inverse is not None:
        inverse = load_catalogue()[relation.inverse]
        assert inverse.inverse == relation.id
        assert inverse.id in equivalents_of(relation.id, "same")
        ways = [(head, tail) for head in SPACY_TYPES for tail in SPACY_TYPES if relation.allows(head, tail)]
        assert any(inverse.allows(tail, head) for head, tail in ways)


@pytest.mark.parametrize("part", ["name", "description"])
def test_no_two_relations_share_a_text(part: str) -> None:
    texts = [getattr(relation, part).casefold() for relation in RELATIONS]
    assert len(set(texts)) == len(texts)


def test_some_relations_everyone_expects() -> None:
    names = {relation.id: relation.name for relation in RELATIONS}
    assert names["P112"] == "founded by"
    assert names["P26"] == "spouse"
    assert load_catalogue()["P26"].symmetric


def test_picks_come_in_their_order_by_id_or_name_and_once() -> None:
    picked = load_relations("wikidata:P26, founded BY,p19,spouse")
    assert picked.ids == ("P26", "P112", "P19")
    assert picked.source == "wikidata:P26, founded BY,p19,spouse"


def test_pick_without_its_inverse_forgets_it() -> None:
    relation = next(relation for relation in RELATIONS if relation.inverse)
    assert load_relations(f"wikidata:{relation.id}")[relation.id].inverse is None
    assert load_relations(f"wikidata:{relation.id},{relation.inverse}")[relation.id].inverse == relation.inverse


@pytest.mark.parametrize("picks", ["", ",", " "])
def test_nothing_picked(picks: str) -> None:
    with pytest.raises(RelationsFileError) as caught:
        load_relations(f"wikidata:{picks}")
    assert str(caught.value) == (
        "wikidata: no relation after the colon: pick some by id or name, as in wikidata:P112,P26"
    )


def test_unknown_picks_are_told_all_at_once() -> None:
    with pytest.raises(RelationsFileError) as caught:
        load_relations("wikidata:P112,spose,P9999")
    assert str(caught.value) == (
        "wikidata:P112,spose,P9999: the catalogue has no relation 'spose' (did you mean P26, spouse?), 'P9999'; "
        f"wikidata alone takes all {len(RELATIONS)}"
    )


def test_misspelt_catalogue() -> None:
    with pytest.raises(RelationsFileError) as caught:
        load_relations("wikidta:P112")
    assert str(caught.value) == (
        "wikidta:P112: no such file: the catalogue that ships is named wikidata, or wikidata:P112,P26 for some of it"
    )


@pytest.mark.parametrize("name", ["wikidata", "mine.yaml"])
def test_anything_else_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("relations: [{name: a, description: b}]", encoding="utf-8")
    assert load_relations(f"./{name}").ids == ("a",)
    assert load_relations(str(tmp_path / name)).ids == ("a",)
    with pytest.raises(RelationsFileError, match=r"^mine\.yml: no such file"):
        load_relations("mine.yml")


def test_known_types_hold_for_a_file_and_not_for_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "relations.yaml"
    path.write_text("relations: [{name: a, description: b, head: [person]}]", encoding="utf-8")
    with pytest.raises(RelationsFileError, match="value 'person': unknown entity type: did you mean 'PERSON'"):
        load_relations(str(path), known_types=["PERSON"])
    assert len(load_relations("wikidata", known_types=["PERSON"])) == len(RELATIONS)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("wikidata", True), ("wikidata:P112,P26", True), ("wikidata-own.yaml", False), ("./wikidata", False)],
)
def test_only_its_name_and_picks_from_it_are_the_catalogue(spec: str, expected: bool) -> None:
    assert is_catalogue(spec) == expected
