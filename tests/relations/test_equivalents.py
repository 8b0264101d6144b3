import re
from importlib import resources
from itertools import combinations

import pytest
import yaml

from zsre.relations.equivalents import equivalents_of, knowledgenet_readings, seen_overlap
from zsre.relations.reader_semeval import SEMEVAL_RELATIONS

TABLE = yaml.safe_load(resources.files("zsre.relations").joinpath("equivalents.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("one", "other"),
    [("P17", "P131"), ("P150", "P17"), ("P22", "P40"), ("P25", "P22"), ("P355", "P749"), ("P361", "P527")],
)
def test_inverses_and_near_duplicates_are_the_same(one: str, other: str) -> None:
    assert other in equivalents_of(one)
    assert one in equivalents_of(other)


def test_near_includes_same_but_not_the_relation_itself() -> None:
    assert equivalents_of("P127") < equivalents_of("P127", "near")
    assert "P749" in equivalents_of("P127", "near") - equivalents_of("P127")
    assert "P127" not in equivalents_of("P127", "near")


def test_nothing_is_inferred_from_group_to_group() -> None:
    # P361 is near P131 and the same as P527; P527 and P131 were not compared.
    assert "P131" in equivalents_of("P361", "near")
    assert "P131" not in equivalents_of("P527", "near")


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("CHILD_OF", {"P22", "P25", "P40"}),
        ("EMPLOYEE_OR_MEMBER_OF", {"P108", "P463"}),
        ("father", {"P22"}),
        ("subsidiary", {"P355"}),
        ("Component-Whole", {"P361", "P527"}),
    ],
)
def test_names_of_other_data_sets_lead_to_wikidata_and_back(name: str, ids: set[str]) -> None:
    assert equivalents_of(name) == ids
    assert all(name in equivalents_of(relation_id) for relation_id in ids)


def test_unknown_relation_has_no_equivalents() -> None:
    assert equivalents_of("sells-to", "near") == frozenset()


def test_overlap_tells_what_was_seen_and_as_what() -> None:
    overlap = seen_overlap(["P17", "P150", "P40", "P57"], ["P17", "P25", "P58", "P86"])
    assert overlap.same == {"P17": ("P150", "P17"), "P25": ("P40",)}
    assert overlap.near == {"P58": ("P57",)}
    # All that the published protocol would have noticed.
    assert overlap.identical == {"P17"}


def test_overlap_of_unrelated_relations_is_empty() -> None:
    overlap = seen_overlap(["P57"], ["P403"])
    assert not overlap.same
    assert not overlap.near


def test_knowledgenet_directions() -> None:
    readings = knowledgenet_readings()
    assert len(readings) == 15
    assert readings["CHILD_OF"].backward == ("P40",)
    assert (readings["SUBSIDIARY_OF"].forward, readings["SUBSIDIARY_OF"].backward) == (("P749",), ("P355",))
    assert readings["EMPLOYEE_OR_MEMBER_OF"].ids == {"P108", "P463"}


def test_table_is_consistent() -> None:
    groups = TABLE["same"] + TABLE["near"]
    assert all(len(group) > 1 and len(set(group)) == len(group) for group in groups)
    named = [*TABLE["semeval"]["same"].values(), *TABLE["semeval"]["near"].values()]
    readings = [ids for ways in TABLE["knowledgenet"].values() for ids in ways.values()]
    ids = {i for group in [*groups, *named, *readings, TABLE["wiki80"].values()] for i in group}
    assert all(re.fullmatch(r"P[1-9]\d*", relation_id) for relation_id in ids)
    assert len(TABLE["wiki80"]) == len(set(TABLE["wiki80"].values())) == 80
    assert TABLE["semeval"]["same"].keys() | TABLE["semeval"]["near"].keys() == SEMEVAL_RELATIONS


def test_no_same_group_shares_two_relations_with_another() -> None:
    for one, other in combinations(TABLE["same"], 2):
        assert len({*one} & {*other}) == 0, "groups of the same thing that meet should be one group"
