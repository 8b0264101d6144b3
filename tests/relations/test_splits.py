import json
from pathlib import Path

import pytest

from zsre.relations.errors import DataError
from zsre.relations.splits import read_published_relations, read_split


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
