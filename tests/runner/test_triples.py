from __future__ import annotations

import dataclasses
import json

import pytest

from zsre.relations.errors import UsageError
from zsre.relations.relation import Argument, Relation, RelationSet
from zsre.runner.shared_texts import SharedTexts
from zsre.runner.triples import (
    COLUMNS,
    METADATA_KEY,
    Triple,
    check_kept,
    relations_fingerprint,
    triple_id,
    triples_batch,
    triples_schema,
    triples_table,
)


def a_triple(**changes: object) -> Triple:
    values: dict[str, object] = {
        "triple_id": "0" * 16,
        "doc_id": "d1",
        "sent_start": 0,
        "sent_end": 17,
        "sentence": "Ann founded Acme.",
        "head": "Acme",
        "head_type": "ORG",
        "head_start": 12,
        "head_end": 16,
        "relation_id": "P112",
        "relation": "founded by",
        "tail": "Ann",
        "tail_type": None,
        "tail_start": 0,
        "tail_end": 3,
        "score": 0.7,
        "similarity": 0.6,
        "similarity_head": 0.2,
        "similarity_tail": 0.3,
        "similarity_context": 0.1,
        "margin": None,
    }
    return Triple(**{**values, **changes})  # type: ignore[arg-type]


def test_columns_and_fields_are_the_same_in_name_and_order() -> None:
    assert [entry.name for entry in dataclasses.fields(Triple)] == [*COLUMNS, "kept"]


def test_rows_come_back_as_they_were_with_kept_fields_and_facts() -> None:
    schema = triples_schema(("url",), {"schema": 1})
    kept = SharedTexts(["http://example.org", None]).column()
    table = triples_table([triples_batch([a_triple()]), triples_batch([a_triple(margin=0.1)])], [kept], schema)
    first, second = table.to_pylist()
    assert first == {**{name: getattr(a_triple(), name) for name in COLUMNS}, "url": "http://example.org"}
    assert (second["url"], second["margin"]) == (None, 0.1)
    assert json.loads(table.schema.metadata[METADATA_KEY]) == {"schema": 1}


def test_a_kept_field_may_not_be_called_like_a_column() -> None:
    with pytest.raises(UsageError, match="--keep score: the output has a column of that name; rename the field"):
        check_kept(("url", "score"))


def test_a_triple_id_names_a_fact_within_a_document() -> None:
    one = triple_id("d1", "P26", "Ann Lee", "Bob", symmetric=False)
    assert one == triple_id("d1", "P26", "ann\n LEE", " Bob", symmetric=False)
    assert len(one) == 16 and set(one) <= set("0123456789abcdef")
    others = [
        triple_id("d2", "P26", "Ann Lee", "Bob", symmetric=False),
        triple_id("d1", "P25", "Ann Lee", "Bob", symmetric=False),
        triple_id("d1", "P26", "Bob", "Ann Lee", symmetric=False),
        triple_id("d1", "P26", "Ann LeeBob", "", symmetric=False),
    ]
    assert len({one, *others}) == 5


def test_a_symmetric_fact_has_one_id_both_ways_round() -> None:
    assert triple_id("d", "s", "A", "b", symmetric=True) == triple_id("d", "s", "B", "a", symmetric=True)


def test_a_triple_id_never_changes_between_versions() -> None:
    assert triple_id("d1", "P112", "Acme", "Ann", symmetric=False) == "86a870f3187116e8"


def test_the_fingerprint_changes_with_whatever_can_change_a_triple() -> None:
    relation = Relation("a", "a", "a")
    variants = [
        relation,
        dataclasses.replace(relation, description="b"),
        dataclasses.replace(relation, threshold=0.5),
        dataclasses.replace(relation, head=Argument(("ORG",))),
        dataclasses.replace(relation, symmetric=True),
    ]
    assert len({relations_fingerprint(RelationSet((variant,))) for variant in variants}) == 5
    assert relations_fingerprint(RelationSet((relation,), source="x")) == relations_fingerprint(
        RelationSet((relation,))
    )
