"""The lessons are what lessons/README.md says."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from zsre.relations.catalogue import load_relations
from zsre.relations.equivalents import equivalents_of
from zsre.relations.reader_contrast import read_contrast_pairs
from zsre.relations.readers import read_labelled
from zsre.relations.relations_file import read_relations

FOLDER = Path(__file__).parents[1] / "lessons"
FILES = ("relations.yaml", "wordings-1.yaml", "wordings-2.yaml")
RECORDS = [json.loads(line) for line in (FOLDER / "sentences.jsonl").read_text("utf-8").splitlines()]
SENTENCES = list(read_labelled(FOLDER / "sentences.jsonl"))


def _phrases(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w'’-]+", text.lower())
    return {tuple(words[start : start + 4]) for start in range(len(words) - 3)}


def test_every_relation_has_its_sentences_and_three_wordings() -> None:
    relations, *others = (list(read_relations(FOLDER / name)) for name in FILES)
    ids = [relation.id for relation in relations]
    assert len(set(ids)) == len(ids) > 150
    for wording in others:
        assert [relation.id for relation in wording] == ids
    for number, relation in enumerate(relations):
        descriptions = {wording[number].description.casefold() for wording in (relations, *others)}
        assert len(descriptions) == 3, relation.id
    for field, least in (("states", 8), ("silent", 5)):
        counts = Counter(record["relation"] for record in RECORDS if field in record)
        assert counts.keys() == set(ids) and min(counts.values()) >= least
    symmetric = {record["relation"] for record in RECORDS if record.get("symmetric")}
    assert symmetric == {relation.id for relation in relations if relation.symmetric}


def test_no_sentence_is_there_twice_and_heads_come_first_and_last() -> None:
    texts = [sentence.text for sentence in SENTENCES]
    assert len(set(texts)) == len(texts)
    for relation in {record["relation"] for record in RECORDS}:
        stated = [record["states"] for record in RECORDS if record["relation"] == relation and "states" in record]
        first = sum(marked.index("[h|") < marked.index("[t|") for marked in stated)
        assert 0.2 <= first / len(stated) <= 0.8, relation


def test_they_share_neither_relations_nor_phrases_with_what_is_measured() -> None:
    names = {relation.name.casefold() for relation in load_relations("wikidata")}
    lessons = read_relations(FOLDER / "relations.yaml")
    assert not names & {relation.name.casefold() for relation in lessons}
    for relation in lessons:
        assert not equivalents_of(relation.id), relation.id
    tested = set[tuple[str, ...]]()
    for pair in read_contrast_pairs(FOLDER.parent / "contrast" / "test.jsonl"):
        tested |= _phrases(pair.states.text) | _phrases(pair.silent.text)
    for sentence in SENTENCES:
        assert not _phrases(sentence.text) & tested, sentence.text


@pytest.mark.parametrize("id", ["understudy-of", "lender-to"])
def test_what_is_close_in_meaning_is_in_the_table(id: str) -> None:
    assert id in {record["relation"] for record in RECORDS}
    near = equivalents_of(id, "near")
    assert near <= {relation.id for relation in load_relations("wikidata")}
