from __future__ import annotations

import pytest

from zsre.relations.errors import RelationsFileError
from zsre.relations.problems import Problems, did_you_mean, nearest, shorten


@pytest.mark.parametrize(
    "name, meant",
    [
        ("PERSN", "PERSON"),
        ("person", "PERSON"),
        ("PER", "PERSON"),
        ("LOCATION", "LOC"),
        ("org", "ORG"),
        ("ORGANISATION", "ORG"),
        ("CHEMICAL", None),
        ("", None),
    ],
)
def test_nearest(name: str, meant: str | None) -> None:
    assert nearest(name, ["PERSON", "LOC", "ORG"]) == meant


def test_did_you_mean() -> None:
    assert did_you_mean("nam", ["name", "id"]) == "did you mean 'name'? "
    assert did_you_mean("x", ["name", "id"]) == ""


def test_long_values_are_cut() -> None:
    assert shorten("a b") == "'a b'"
    assert shorten("a" * 100) == "'" + "a" * 58 + "…"


def test_problems_are_told_by_line() -> None:
    problems = Problems("r.yaml")
    problems.raise_any()
    problems.add(9, "threshold", "too high", value=2)
    problems.add(3, "name", "missing")
    problems.add(None, "types", "unknown")
    with pytest.raises(RelationsFileError) as caught:
        problems.raise_any()
    assert str(caught.value).splitlines() == [
        "r.yaml: field types: unknown",
        "r.yaml:3: field name: missing",
        "r.yaml:9: field threshold: value 2: too high",
    ]
