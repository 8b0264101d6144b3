"""The example documents and relations, which people copy from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import yaml

from zsre.relations.relation import SPACY_TYPES
from zsre.relations.relations_file import check_types, read_relations

ROOT = Path(__file__).parents[1]
RELATIONS = ROOT / "examples" / "relations.yaml"
RECORDS = [json.loads(line) for line in (ROOT / "examples" / "corpus.jsonl").read_text("utf-8").splitlines()]


def test_relations_are_valid_for_the_reader_and_for_the_schema() -> None:
    relations = read_relations(RELATIONS)
    check_types(relations, SPACY_TYPES)
    schema = json.loads((ROOT / "relations" / "relations.schema.json").read_text("utf-8"))
    jsonschema.validate(yaml.safe_load(RELATIONS.read_text("utf-8")), schema)


def test_relations_show_the_full_and_the_short_form() -> None:
    relations = read_relations(RELATIONS)
    assert any(relation.head.types and relation.head.terms and relation.id != relation.name for relation in relations)
    assert any(not relation.head.types and relation.id == relation.name for relation in relations)


def test_documents_have_ids_of_their_own() -> None:
    ids = [record["id"] for record in RECORDS]
    assert len(set(ids)) == len(ids) >= 20
    assert all(record.keys() - {"entities"} == {"id", "date", "url", "text"} for record in RECORDS)


def test_given_entities_are_whole_words_of_declared_types() -> None:
    given = [(record["text"], entity) for record in RECORDS for entity in record.get("entities", ())]
    assert given
    for text, entity in given:
        words = re.escape(text[entity["start"] : entity["end"]])
        assert re.compile(rf"\b{words}\b").match(text, entity["start"]), entity
    assert {entity["label"] for _, entity in given} <= set(read_relations(RELATIONS).types)
