from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from zsre.relations.errors import RelationsFileError
from zsre.relations.relation import SPACY_TYPES
from zsre.relations.relations_file import read_relations

SCHEMA: dict[str, Any] = json.loads((files("zsre.relations") / "relations.schema.json").read_text(encoding="utf-8"))


def relation(fields: str) -> str:
    return f"relations: [{{name: a, description: b, {fields}}}]"


GOOD = [
    relation(""),
    relation("id: P1"),
    relation("id: '1'"),
    relation("head: [ORG]"),
    relation("head: []"),
    relation("head: {}"),
    relation("head: {types: [ORG, DRUG], terms: [company]}, tail: {terms: [thing]}"),
    relation("threshold: 0"),
    relation("threshold: 1.0"),
    relation("symmetric: true"),
    relation("symmetric: no"),
    "types: []\n" + relation(""),
    "types: [DRUG]\n" + relation(""),
    "calibration: {model: f0, slope: 12.5, intercept: -7}\n" + relation(""),
    "relations:\n- {name: a, description: b, inverse: c, symmetric: false}\n- {name: c, description: d}",
]

BAD = [
    "[]",
    "text",
    "{}",
    "relations:",
    "relations: []",
    "relations: {}",
    "relations: [a]",
    "types: DRUG\n" + relation(""),
    "types: [1]\n" + relation(""),
    "types: [DRUG, DRUG]\n" + relation(""),
    "type: [DRUG]\n" + relation(""),
    "calibration: f0\n" + relation(""),
    "calibration: {model: f0, slope: 12.5}\n" + relation(""),
    "calibration: {model: 12, slope: 12.5, intercept: -7}\n" + relation(""),
    "calibration: {model: f0, slope: 0, intercept: -7}\n" + relation(""),
    "calibration: {model: f0, slope: steep, intercept: -7}\n" + relation(""),
    "calibration: {model: f0, slope: 12.5, intercept: }\n" + relation(""),
    "calibration: {model: f0, slope: 12.5, intercept: -7, threshold: 1}\n" + relation(""),
    "relations: [{name: a}]",
    "relations: [{description: a}]",
    "relations: [{id: x, description: a}]",
    "relations: [{name: '', description: a}]",
    "relations: [{name: a, description: ' '}]",
    "relations: [{name: a, description: }]",
    "relations: [{name: a, description: 1}]",
    "relations: [{name: a, description: [b]}]",
    relation("id: no"),
    relation("id: 2020-01-01"),
    relation("id: ''"),
    relation("heads: [ORG]"),
    relation("head: ORG"),
    relation("head:"),
    relation("head: [1]"),
    relation("head: [ORG, ORG]"),
    relation("head: ['']"),
    relation("head: {types: ORG}"),
    relation("head: {types: }"),
    relation("head: {terms: [no]}"),
    relation("head: {type: [ORG]}"),
    relation("threshold: 1.1"),
    relation("threshold: -1"),
    relation("threshold: true"),
    relation("threshold: '0.5'"),
    relation("threshold:"),
    relation("threshold: .inf"),
    relation("symmetric: 'true'"),
    relation("symmetric: 1"),
    relation("symmetric:"),
    relation("inverse: 1"),
    relation("inverse:"),
    "relations:\n- {name: a, description: b, inverse: c, symmetric: true}\n- {name: c, description: d}",
]


def reader_accepts(text: str, folder: Path) -> bool:
    path = folder / "relations.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        read_relations(path)
    except RelationsFileError:
        return False
    return True


def schema_accepts(text: str) -> bool:
    return bool(Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text)))


@pytest.mark.parametrize("text", GOOD)
def test_schema_and_reader_accept(text: str, tmp_path: Path) -> None:
    assert reader_accepts(text, tmp_path)
    assert schema_accepts(text)


@pytest.mark.parametrize("text", BAD)
def test_schema_and_reader_reject(text: str, tmp_path: Path) -> None:
    assert not reader_accepts(text, tmp_path)
    assert not schema_accepts(text)


def test_schema_is_valid_and_speaks() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    properties = SCHEMA["$defs"]["relation"]["properties"]
    assert all(field["title"] and field["description"] for field in properties.values())


def test_schema_offers_the_types_of_spacy() -> None:
    offered = SCHEMA["$defs"]["types"]["items"]["anyOf"][0]["enum"]
    assert offered == sorted(SPACY_TYPES)


def test_catalogue_fits_the_schema() -> None:
    text = (files("zsre.relations") / "catalogue.yaml").read_text(encoding="utf-8")
    Draft202012Validator(SCHEMA).validate(yaml.safe_load(text))
