from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.corpora import DENSE, GIVEN, LONG, RELATIONS, SENTENCES, TEN, TEXT, Sizes, make_corpora, read_manifest
from benchmarks.invented import MOST, relations
from zsre.relations.catalogue import load_relations
from zsre.relations.errors import DataError

SIZES = Sizes(
    documents=6, joined=2, sentences=12, entities=4, dense_tokens=40, least_tokens=8, most_tokens=30
)  # fmt: skip


def words(text: str) -> int:
    return len(text.split())


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def corpora(data_sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    make_corpora(data_sets, folder, words, SIZES)
    return folder


def test_they_are_the_same_bytes_every_time(corpora: Path, data_sets: Path, tmp_path: Path) -> None:
    again = make_corpora(data_sets, tmp_path / "new", words, SIZES)
    assert again == read_manifest(corpora)
    assert {*again} == {TEXT, SENTENCES, GIVEN, DENSE, LONG, *RELATIONS}


def test_documents_hold_what_the_manifest_counts(corpora: Path) -> None:
    found = records(corpora / TEXT)
    assert len(found) == SIZES.documents == read_manifest(corpora)[TEXT]["documents"]
    assert sum(record["sentences"] for record in found) == read_manifest(corpora)[TEXT]["sentences"]
    assert all("entities" not in record for record in found)


def test_no_sentence_comes_twice(corpora: Path) -> None:
    texts = [record["text"] for record in records(corpora / SENTENCES)]
    assert len(texts) == len(set(texts)) == SIZES.sentences


def test_sentences_with_given_entities_have_pairs(corpora: Path) -> None:
    found = records(corpora / GIVEN)
    # Of nine sentences, one has a single mention, one has none, and one is there twice.
    assert [len(record["pairs"]) for record in sorted(found, key=lambda own: len(own["pairs"]))] == [2, 2, 2, 6, 12, 20]
    for record in found:
        for entity in record["entities"]:
            assert record["text"][entity["start"] : entity["end"]].startswith("Name")


def test_dense_text_has_just_so_many_different_entities(corpora: Path) -> None:
    found = records(corpora / DENSE)
    assert found
    for record in found:
        names = {record["text"][own["start"] : own["end"]] for own in record["entities"]}
        assert len(names) == len(record["entities"]) == SIZES.entities
        assert len(record["pairs"]) == SIZES.entities * (SIZES.entities - 1)


def test_long_text_is_as_long_as_it_should_be(corpora: Path) -> None:
    lengths = [words(record["text"]) for record in records(corpora / LONG)]
    assert lengths
    assert all(SIZES.least_tokens <= length <= SIZES.most_tokens for length in lengths)


def test_a_corpus_that_changed_is_noticed(data_sets: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make the corpora first"):
        read_manifest(tmp_path)
    make_corpora(data_sets, tmp_path, words, SIZES)
    with (tmp_path / GIVEN).open("a") as file:
        file.write("\n")
    with pytest.raises(DataError, match=r"given\.jsonl: is not what the manifest says"):
        read_manifest(tmp_path)


def test_data_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="set ZSRE_DATA"):
        make_corpora(tmp_path, tmp_path / "corpora", words, SIZES)


def test_invented_relations_can_be_read(corpora: Path) -> None:
    for name in (TEN, "thousand-typed.yaml"):
        found = load_relations(str(corpora / name))
        count, typed = RELATIONS[name]
        assert len(found) == count
        assert all(bool(relation.head.types and relation.tail.types) == typed for relation in found)
    # GLiREL takes names for labels, so that ten of them have to be ten.
    assert len({relation["name"] for relation in relations(10, typed=False)}) == 10


def test_invented_relations_differ_and_begin_alike() -> None:
    whole = [relation["description"] for relation in relations(MOST, typed=True)]
    assert len(set(whole)) == MOST == 10_000
    types = {(*relation["head"]["types"], *relation["tail"]["types"]) for relation in relations(MOST, typed=True)}
    assert len(types) > 100
    assert all(one != other for one, other in pairwise(whole))
    assert [relation["description"] for relation in relations(10, typed=False)] == whole[:10]
