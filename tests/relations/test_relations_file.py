from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
import yaml

from zsre.relations import yaml_source
from zsre.relations.errors import RelationsFileError
from zsre.relations.relation import SPACY_TYPES, Argument, OwnCalibration, Relation, RelationSet
from zsre.relations.relations_file import check_types, read_relations

EXAMPLE = """\
relations:
  - id: P112
    name: founded by
    description: the person or organisation that started this company,
      school or other organisation
    head: {types: [ORG], terms: [organisation, company, institution]}
    tail: {types: [PERSON, ORG], terms: [founder, entrepreneur]}
    threshold: 0.6
  - name: spouse
    description: the person this person is married to
    symmetric: true
"""

Write = Callable[[str], Path]


@pytest.fixture(params=sorted({"SafeLoader", yaml_source.LOADER.__name__}), autouse=True)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with libyaml, where there is one, and without."""
    monkeypatch.setattr(yaml_source, "LOADER", getattr(yaml, request.param))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write relations.yaml into an empty folder, which becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def _write(text: str) -> Path:
        path = Path("relations.yaml")
        path.write_bytes(text.encode("utf-8"))
        return path

    return _write


def message(path: Path, known_types: Collection[str] | None = None) -> str:
    with pytest.raises(RelationsFileError) as caught:
        read_relations(path, known_types)
    return str(caught.value)


def one_relation(fields: str) -> str:
    """Return a file whose one relation has these further fields from line 4 on."""
    return f"relations:\n- name: founder\n  description: who started it\n  {fields}\n"


def test_example_is_read_in_full(write: Write) -> None:
    relations = read_relations(write(EXAMPLE))
    assert relations == RelationSet(
        (
            Relation(
                id="P112",
                name="founded by",
                description="the person or organisation that started this company, school or other organisation",
                head=Argument(("ORG",), ("organisation", "company", "institution")),
                tail=Argument(("PERSON", "ORG"), ("founder", "entrepreneur")),
                threshold=0.6,
            ),
            Relation("spouse", "spouse", "the person this person is married to", symmetric=True),
        ),
        source="relations.yaml",
    )


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE.replace("\n", "\r\n"),
        "\ufeff" + EXAMPLE,
        json.dumps(yaml.safe_load(EXAMPLE)),
        "# looked for\n---\n" + EXAMPLE,
    ],
    ids=["windows", "byte order mark", "json", "document start"],
)
def test_same_relations_in_other_dress(write: Write, text: str) -> None:
    expected = read_relations(write(EXAMPLE))
    assert read_relations(write(text)) == expected


def test_bare_list_at_an_end_is_its_types(write: Write) -> None:
    (relation,) = read_relations(write(one_relation("head: [ORG]\n  tail: []")))
    assert relation.head == Argument(types=("ORG",))
    assert relation.tail == Argument()


def test_declared_types_are_kept(write: Write) -> None:
    assert read_relations(write("types: [DRUG, DISEASE]\n" + EXAMPLE)).types == ("DRUG", "DISEASE")


def test_small_aliases_work(write: Write) -> None:
    text = one_relation("head: &person {types: [PERSON], terms: [person]}\n  tail: *person")
    (relation,) = read_relations(write(text))
    assert relation.tail == relation.head == Argument(("PERSON",), ("person",))


@pytest.mark.parametrize("number, value", [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("2.5e-1", 0.25)])
def test_thresholds(write: Write, number: str, value: float) -> None:
    (relation,) = read_relations(write(one_relation(f"threshold: {number}")))
    assert relation.threshold == value


INVERSES = """\
relations:
- {{id: A, name: owner, description: who owns it{first}}}
- {{id: B, name: owns, description: what they own{second}}}
- {{id: C, name: keeps, description: what they keep{third}}}
"""


def inverses(first: str = "", second: str = "", third: str = "") -> str:
    return INVERSES.format(first=first, second=second, third=third)


@pytest.mark.parametrize("text", [inverses(", inverse: B"), inverses(", inverse: B", ", inverse: A")])
def test_inverse_written_at_one_end_holds_at_both(write: Write, text: str) -> None:
    relations = read_relations(write(text))
    assert [relation.inverse for relation in relations] == ["B", "A", None]


def test_inverse_of_a_later_relation_is_completed(write: Write) -> None:
    relations = read_relations(write(inverses(third=", inverse: A")))
    assert [relation.inverse for relation in relations] == ["C", None, "A"]


@pytest.mark.parametrize(
    "text, expected",
    [
        (inverses(", inverse: D"), "2: field inverse of 'A': value 'D': no relation here has this id: "),
        (inverses(", inverse: owns"), "value 'owns': no relation here has this id: did you mean 'B'?"),
        (inverses(", inverse: A"), "a relation is no inverse of itself: write 'symmetric: true' instead"),
        (inverses(", inverse: B, symmetric: true"), "remove inverse or symmetric"),
        (inverses(", inverse: B", ", symmetric: true"), "'B' is symmetric and has no inverse: remove inverse"),
        (inverses(", inverse: B", ", inverse: C"), "2: field inverse of 'A': value 'B': 'B' is the inverse of 'C'"),
        (inverses(", inverse: B", "", ", inverse: B"), "4: field inverse of 'C': value 'B': 'B' is the inverse of 'A'"),
    ],
    ids=["unknown", "a name", "itself", "symmetric", "of a symmetric one", "conflict", "two name one"],
)
def test_bad_inverses(write: Write, text: str, expected: str) -> None:
    assert expected in message(write(text))


LIST_REMEDY = "list the relations under 'relations:', each starting with '- name:'"

FIELD_PROBLEMS = {
    "unknown key": (
        one_relation("treshold: 0.5"),
        "relations.yaml:4: field treshold of 'founder': unknown key: did you mean 'threshold'? known keys: id, name, "
        "description, head, tail, threshold, symmetric, inverse",
    ),
    "unknown key of an end": (
        one_relation("head: {type: [ORG]}"),
        "relations.yaml:4: field head.type of 'founder': unknown key: did you mean 'types'? known keys: types, terms",
    ),
    "unknown key at the top": (
        "relation:\n" + EXAMPLE,
        "relations.yaml:1: field relation: unknown key: did you mean 'relations'? "
        "known keys: relations, types, calibration",
    ),
    "key that is no word": (
        one_relation("[a, b]: c"),
        "relations.yaml:4: field ? of 'founder': a key must be one of id, name, description, head, tail, threshold, "
        "symmetric, inverse",
    ),
    "merge key": (
        one_relation("<<: {threshold: 0.5}"),
        "relations.yaml:4: field << of 'founder': merge keys are not read: alias a whole value, as in head: *person",
    ),
    "key written twice": (
        one_relation("name: creator"),
        "relations.yaml:4: field name of 'creator': written twice, first on line 2: keep one",
    ),
    "id used twice": (
        "relations:\n- {id: a, name: b, description: c}\n- {name: d, description: e}\n"
        "- {id: a, name: f, description: g}",
        "relations.yaml:4: field id of 'a': value 'a': the id is used already on line 2: give each an id of its own",
    ),
    "name used twice": (
        "relations:\n- {name: a, description: b}\n- {name: a, description: d}",
        "relations.yaml:3: field name of 'a': value 'a': two relations have this name (the other on line 2), and it "
        "serves as id: give one an id",
    ),
    "name that is an id already": (
        "relations:\n- {id: a, name: c, description: b}\n- {name: a, description: d}",
        "relations.yaml:3: field name of 'a': value 'a': without an id the name serves as id, and line 2 has that id "
        "already: give this one an id",
    ),
    "id that is a name already": (
        "relations:\n- {name: a, description: b}\n- {id: a, name: c, description: d}",
        "relations.yaml:3: field id of 'a': value 'a': the id is used already on line 2, where the name serves as id: "
        "give each an id of its own",
    ),
    "no name": (
        "relations:\n- id: P1\n  description: who started it",
        "relations.yaml:2: field name of 'P1': missing: give the relation a short name, as in 'founded by'",
    ),
    "empty description": (
        "relations:\n- name: founder\n  description: ' '",
        "relations.yaml:3: field description of 'founder': value ' ': empty: say in a phrase what the relation means, "
        "as in 'the person who founded the organisation'",
    ),
    "no description": (
        "relations:\n- name: founder",
        "relations.yaml:2: field description of 'founder': missing: say in a phrase what the relation means, as in "
        "'the person who founded the organisation'",
    ),
    "description without text": (
        "relations:\n- name: founder\n  description:",
        "relations.yaml:3: field description of 'founder': no value: say in a phrase what the relation means, as in "
        "'the person who founded the organisation'",
    ),
    "description that is a list": (
        "relations:\n- name: founder\n  description: [a, b]",
        "relations.yaml:3: field description of 'founder': a list, not text: say in a phrase what the relation means, "
        "as in 'the person who founded the organisation'",
    ),
    "truth value as id": (
        one_relation("id: no"),
        "relations.yaml:4: field id of 'no': value 'no': YAML reads this as true or false: put it in quotes",
    ),
    "number as id": (
        one_relation("id: 112"),
        "relations.yaml:4: field id of '112': value '112': YAML reads this as a number: put it in quotes",
    ),
    "date as term": (
        one_relation("head:\n    terms:\n    - day\n    - 1984-01-01"),
        "relations.yaml:7: field head.terms of 'founder': value '1984-01-01': YAML reads this as a date: put it in "
        "quotes",
    ),
    "end that is a word": (
        one_relation("head: ORG"),
        "relations.yaml:4: field head of 'founder': value 'ORG': write a list of entity types, [PERSON, ORG], or "
        "{types: […], terms: […]}",
    ),
    "types that are a word": (
        one_relation("head: {types: ORG}"),
        "relations.yaml:4: field head.types of 'founder': value 'ORG': a single value, not a list: put it in "
        "brackets, as in [ORG]",
    ),
    "terms without text": (
        one_relation("head:\n    terms:"),
        "relations.yaml:5: field head.terms of 'founder': no value: write one or remove the line",
    ),
    "type given twice": (
        one_relation("head: [ORG, ORG]"),
        "relations.yaml:4: field head of 'founder': value 'ORG': given twice: remove one",
    ),
    "symmetric that is a word": (
        one_relation("symmetric: both"),
        "relations.yaml:4: field symmetric of 'founder': value 'both': write true or false, without quotes",
    ),
    "symmetric with two kinds of ends": (
        one_relation("symmetric: true\n  head: [ORG]\n  tail: [ORG, PERSON]"),
        "relations.yaml:4: field symmetric of 'founder': head and tail of a symmetric relation change places: give "
        "both the same types, or remove symmetric",
    ),
    "relation that is text": (
        "relations:\n- founded by",
        "relations.yaml:2: field relations, item 1: value 'founded by': a single value, not a mapping: give it a name "
        "and a description, '- name: …'",
    ),
    "relations that are a mapping": (
        "relations:\n  P112: {name: a}",
        f"relations.yaml:2: field relations: a mapping, not a list: {LIST_REMEDY}",
    ),
    "no relations": (
        "relations:",
        f"relations.yaml:1: field relations: empty: {LIST_REMEDY}",
    ),
    "no key relations": (
        "types: [DRUG]",
        f"relations.yaml:1: field relations: missing: {LIST_REMEDY}",
    ),
    "list": (
        "- name: a\n  description: b",
        "relations.yaml:1: field (top level): a list, not a mapping: put the list under 'relations:'",
    ),
    "text": (
        "founded by",
        f"relations.yaml:1: field (top level): value 'founded by': a single value, not a mapping: {LIST_REMEDY}",
    ),
}


@pytest.mark.parametrize("text, expected", FIELD_PROBLEMS.values(), ids=FIELD_PROBLEMS.keys())
def test_problems_of_a_field(write: Write, text: str, expected: str) -> None:
    assert message(write(text)) == expected


@pytest.mark.parametrize(
    "value", ["1.01", "-0.1", "true", ".nan", ".inf", "high", "'0.5'", "60", "1e-1", "[0.5]", "!!int x", "9" * 400]
)
def test_bad_threshold(write: Write, value: str) -> None:
    text = message(write(one_relation(f"threshold: {value}")))
    assert text.startswith("relations.yaml:4: field threshold of 'founder': ")
    assert text.endswith("give a number from 0 to 1, as in 0.6")
    assert len(text) < 200


def test_half_a_character_is_refused(write: Write) -> None:
    # libyaml already refuses the escape; the pure Python loader lets it through.
    text = message(write('relations:\n- name: "\\ud83d"\n  description: what'))
    assert text.startswith("relations.yaml:2: ")


def test_all_problems_come_in_one_go_by_line(write: Write) -> None:
    text = message(write("relations:\n- {name: a, nam: b}\n- {name: c, description: d, threshold: 7}\ntypes: DRUG\n"))
    assert [line.split(": value")[0].split(": unknown")[0].split(": missing")[0] for line in text.splitlines()] == [
        "relations.yaml:2: field nam of 'a'",
        "relations.yaml:2: field description of 'a'",
        "relations.yaml:3: field threshold of 'c'",
        "relations.yaml:4: field types",
    ]


def test_many_problems_are_counted(write: Write) -> None:
    lines = message(write("relations:\n" + "- name: a\n" * 20)).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 29 more"  # twenty descriptions and nineteen ids, less the ten shown


def test_unknown_types_are_named_with_their_line(write: Write) -> None:
    relations = read_relations(write("types: [DRUG]\n" + one_relation("head:\n    types:\n    - DRUG\n    - person")))
    with pytest.raises(RelationsFileError) as caught:
        check_types(relations, SPACY_TYPES)
    text = str(caught.value)
    assert text.startswith(
        "relations.yaml:8: field head.types of 'founder': value 'person': unknown entity type: "
        "did you mean 'PERSON'? known: CARDINAL, "
    )
    assert text.endswith("WORK_OF_ART; declare others in a top-level list 'types:'")


def test_known_and_declared_types_pass(write: Write) -> None:
    relations = read_relations(write("types: [DRUG]\n" + one_relation("head: [DRUG, ORG]")))
    check_types(relations, ["ORG"])
    with pytest.raises(RelationsFileError, match="value 'ORG'"):
        check_types(relations, ["PER"])


def test_unknown_types_are_told_with_everything_else_where_the_types_are_known(write: Write) -> None:
    path = write("types: [DRUG]\n" + one_relation("treshold: 0.5\n  head: [DRUG, ORG]\n  tail: [person]"))
    assert [line.split(" known")[0] for line in message(path, known_types=["ORG", "PERSON"]).splitlines()] == [
        "relations.yaml:5: field treshold of 'founder': unknown key: did you mean 'threshold'?",
        "relations.yaml:7: field tail.types of 'founder': value 'person': unknown entity type: did you mean 'PERSON'?",
    ]
    assert "person" not in message(path)


def test_known_types_are_told_like_those_that_are_checked_later(write: Write) -> None:
    path = write(one_relation("head: [person]"))
    with pytest.raises(RelationsFileError) as caught:
        check_types(read_relations(path), SPACY_TYPES)
    assert message(path, known_types=SPACY_TYPES) == str(caught.value)
    assert read_relations(write(one_relation("head: [PERSON]")), SPACY_TYPES).ids == ("founder",)


@pytest.mark.parametrize("declared", ["types: DRUG", "type: [DRUG]"])
def test_types_that_a_bad_declaration_may_hold_are_not_called_unknown(write: Write, declared: str) -> None:
    (only,) = message(write(f"{declared}\n" + one_relation("head: [DRUG]")), known_types=["ORG"]).splitlines()
    assert only.startswith("relations.yaml:1: ")


def test_types_of_a_set_that_no_file_was_read_for() -> None:
    relations = RelationSet((Relation("a", "a", "b", tail=Argument(("LOCATION",))),))
    with pytest.raises(RelationsFileError, match=r"^relations: field tail\.types of 'a': .* did you mean 'LOC'\?"):
        check_types(relations, ["LOC", "ORG"])


def test_a_calibration_of_ones_own(write: Write) -> None:
    text = EXAMPLE + 'calibration: {model: "00ff", slope: 12.5, intercept: -7}\n'
    assert read_relations(write(text)).calibration == OwnCalibration("00ff", 12.5, -7.0)
    assert read_relations(write(EXAMPLE)).calibration is None


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        (
            "12",
            "field calibration: value '12': a single value, not a mapping: leave it as zsre-eval --calibrate wrote it",
        ),
        ("{model: 00, slope: 1, intercept: 1}", "field calibration.model: value '00': YAML reads this as a number"),
        ("{model: a, slope: 1}", "field calibration.intercept: missing: leave it as zsre-eval --calibrate wrote it"),
        ("{model: a, slope: -1, intercept: 1}", "field calibration.slope: value -1.0: must be above 0"),
        ("{model: a, slope: .inf, intercept: 1}", "field calibration.slope: value '.inf': give a number, as in 12.5"),
    ],
)
def test_problems_of_a_calibration(write: Write, calibration: str, expected: str) -> None:
    assert message(write(f"{EXAMPLE}calibration: {calibration}\n")).startswith(f"relations.yaml:12: {expected}")
