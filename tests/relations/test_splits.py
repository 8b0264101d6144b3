import json
from pathlib import Path

import pytest

from zsre.relations.errors import DataError, RelationsFileError
from zsre.relations.splits import load_described, read_published_relations, read_split


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_reads_a_split(tmp_path: Path) -> None:
    split = read_split(written(tmp_path / "s.json", {"train": ["P1", "P2"], "eval": ["P3"], "test": ["P4"]}))
    assert (split.train, split.eval, split.test) == (("P1", "P2"), ("P3",), ("P4",))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"train": ["P1"], "eval": ["P2"], "test": ["P1"]}, "P1 occurs more than once; each relation belongs to one"),
        ({"train": ["P1"], "eval": ["P2"]}, 'field "test": is missing'),
        ({"train": ["P1"], "eval": [2], "test": []}, 'field "eval": 2 is not a string'),
        (["P1"], r'\["P1"\] is not a JSON object'),
    ],
)
def test_broken_split_is_named(tmp_path: Path, value: object, message: str) -> None:
    path = written(tmp_path / "s.json", value)
    with pytest.raises(DataError, match=message) as caught:
        read_split(path)
    assert str(caught.value).startswith(str(path))


def test_reads_published_relation_texts(tmp_path: Path) -> None:
    listing = [{"relation": "P6", "description": "leads the state", "head": ["town"], "tail": ["mayor", "minister"]}]
    relations = read_published_relations(written(tmp_path / "r.json", listing))
    relation = relations["P6"]
    assert (relation.name, relation.description) == ("P6", "leads the state")
    assert (relation.head.terms, relation.tail.terms) == (("town",), ("mayor", "minister"))
    assert relation.head.types == ()


def test_relation_described_twice_is_named(tmp_path: Path) -> None:
    one = {"relation": "P6", "description": "x", "head": [], "tail": []}
    path = written(tmp_path / "r.json", [one, one])
    with pytest.raises(DataError, match='relation 1: field "relation": "P6" was described before'):
        read_published_relations(path)


def test_a_published_description_that_begins_with_the_name_is_taken_apart(tmp_path: Path) -> None:
    texts = {
        "P6": "head of government is the person who is at the head of it",
        "P7": "Paris is",
        "P8": "this island belongs to",
    }
    listing = [{"relation": key, "description": text, "head": [], "tail": []} for key, text in texts.items()]
    relations = read_published_relations(written(tmp_path / "r.json", listing))
    assert [(relation.name, relation.description) for relation in relations] == [
        ("head of government", "the person who is at the head of it"),
        ("P7", "Paris is"),
        ("P8", "this island belongs to"),
    ]


def test_described_relations_are_read_by_what_they_are(tmp_path: Path) -> None:
    listing = [{"relation": "P6", "description": "mayor is who leads the town", "head": ["town"], "tail": ["mayor"]}]
    published = written(tmp_path / "r.json", listing)
    own = tmp_path / "r.yaml"
    own.write_text("relations:\n  - {id: P6, name: mayor, description: who leads the town}\n", encoding="utf-8")
    for path in (published, own):
        relations = load_described(str(path))
        assert (relations.ids, relations["P6"].name, relations.source) == (("P6",), "mayor", str(path))
    assert load_described("wikidata:P6,P26").ids == ("P6", "P26")


def test_described_relations_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"r\.json: there is no such file"):
        load_described(str(tmp_path / "r.json"))
    with pytest.raises(RelationsFileError, match=r"r\.yaml"):
        load_described(str(tmp_path / "r.yaml"))
