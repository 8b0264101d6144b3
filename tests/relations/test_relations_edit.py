from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.catalogue import load_relations
from zsre.relations.errors import OutputError, RelationsFileError
from zsre.relations.relation import OwnCalibration
from zsre.relations.relations_edit import check_editable, edit_text, write_thresholds
from zsre.relations.relations_file import read_relations

CALIBRATION = OwnCalibration("0123", 12.5, -7.25)
BLOCK = """\
# What we look for.
relations:
  # Companies first.
  - id: P112        # Wikidata's
    name: founded by
    description: >-
      the person who founded
      this organisation
    head:
      types: [ORG]
    tail: {types: [PERSON]}   # people only

  - name: "spouse"
    threshold: 0.25 # too low?
    description: 'the person married to: one at a time'
# The end.
"""
BLOCK_AFTER = """\
# What we look for.
calibration: {model: "0123", slope: 12.5, intercept: -7.25}
relations:
  # Companies first.
  - id: P112        # Wikidata's
    name: founded by
    description: >-
      the person who founded
      this organisation
    head:
      types: [ORG]
    tail: {types: [PERSON]}   # people only
    threshold: 0.625

  - name: "spouse"
    threshold: 0.7 # too low?
    description: 'the person married to: one at a time'
# The end.
"""
THRESHOLDS = {"P112": 0.625, "spouse": 0.7, "unknown": 0.1}


def _save(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "relations.yaml"
    path.write_bytes(text.encode())
    return path


def test_everything_else_stays(tmp_path: Path) -> None:
    path = _save(tmp_path, BLOCK)
    found = write_thresholds(path, path, THRESHOLDS, CALIBRATION)
    assert path.read_text() == BLOCK_AFTER
    assert found == read_relations(path)
    assert [relation.threshold for relation in found] == [0.625, 0.7]
    assert found.calibration == CALIBRATION
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_time_replaces_the_first(tmp_path: Path) -> None:
    path = _save(tmp_path, BLOCK_AFTER)
    write_thresholds(path, path, {"P112": 0.5}, OwnCalibration("0456", 1.0, 2.0))
    expected = BLOCK_AFTER.replace("0.625", "0.5").replace('"0123", slope: 12.5, intercept: -7.25', "%")
    assert path.read_text() == expected.replace("%", '"0456", slope: 1.0, intercept: 2.0')


def test_another_file_leaves_the_first_alone(tmp_path: Path) -> None:
    path = _save(tmp_path, BLOCK)
    other = tmp_path / "other.yaml"
    found = write_thresholds(path, other, {"spouse": 0.5}, None)
    assert path.read_text() == BLOCK
    assert found.source == str(other)
    assert read_relations(other)["spouse"].threshold == 0.5


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("{relations: [{name: a, description: b}]}", "{relations: [{name: a, description: b, threshold: 0.5}]}"),
        (
            "relations:\n- {name: a,\n   description: b,\n  }",
            "relations:\n- {name: a,\n   description: b, threshold: 0.5,\n  }",
        ),
        ("relations:\n- name: a\n  description: b", "relations:\n- name: a\n  description: b\n  threshold: 0.5\n"),
        (
            "relations:\r\n- name: a\r\n  description: b\r\n",
            "relations:\r\n- name: a\r\n  description: b\r\n  threshold: 0.5\r\n",
        ),
        (
            "relations:\n- name: a\n  description: many\n    words # a comment\n  symmetric: no\n",
            "relations:\n- name: a\n  description: many\n    words # a comment\n  symmetric: no\n  threshold: 0.5\n",
        ),
        (
            "relations:\n- description: |\n    b\n\n  name: a\n  head:\n  - ORG\n",
            "relations:\n- description: |\n    b\n\n  name: a\n  threshold: 0.5\n  head:\n  - ORG\n",
        ),
        (
            "\ufeffrelations: [{name: a, description: 日本}]",
            "\ufeffrelations: [{name: a, description: 日本, threshold: 0.5}]",
        ),
    ],
)
def test_layouts(tmp_path: Path, text: str, after: str) -> None:
    path = _save(tmp_path, text)
    write_thresholds(path, path, {"a": 0.5}, None)
    assert path.read_bytes().decode() == after


def test_the_catalogue_can_be_edited() -> None:
    """A long file with every field that there is."""
    catalogue = Path(__file__).parents[2] / "relations" / "catalogue.yaml"
    ids = load_relations("wikidata").ids
    edited = edit_text(catalogue.read_text(encoding="utf-8"), dict.fromkeys(ids, 0.5), None)
    added = [line for line in edited.splitlines() if line.strip() == "threshold: 0.5" or ", threshold: 0.5" in line]
    assert len(added) == len(ids)


@given(thresholds=st.dictionaries(st.sampled_from(["P112", "spouse"]), st.floats(0, 1).map(partial(round, ndigits=12))))
def test_thresholds_read_back_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, thresholds: dict[str, float]
) -> None:
    path = _save(tmp_path_factory.mktemp("edit"), BLOCK)
    found = write_thresholds(path, path, thresholds, None)
    for relation_id, threshold in thresholds.items():
        assert found[relation_id].threshold == threshold


def test_a_layout_that_cannot_be_edited_is_left_alone(tmp_path: Path) -> None:
    text = "? relations\n: - ? name\n    : a\n    ? description\n    : |-\n      b\n    ? id\n    : |-\n      a\n"
    path = _save(tmp_path, text)
    with pytest.raises(RelationsFileError, match="can't be edited: write its thresholds by hand"):
        write_thresholds(path, path, {"a": 0.5}, None)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["relations:\n  - name: a\t\n    description: b\n", "relations:\n  - name:\ta\n    description: b\n"]
)
def test_tabs_that_are_read_but_not_edited_are_told(text: str, tmp_path: Path) -> None:
    path = _save(tmp_path, text)
    assert read_relations(path).ids == ("a",)
    with pytest.raises(RelationsFileError, match=r"relations\.yaml: is laid out in a way that can't be edited: write"):
        check_editable(path, tmp_path / "new.yaml")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("locked")
def test_a_place_that_may_not_be_looked_at_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"^locked/new\.yaml: cannot be read: Permission denied"):
        check_editable(_save(tmp_path, BLOCK), Path("locked/new.yaml"))


def test_a_place_that_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    path = _save(tmp_path, BLOCK)
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for place in (pipe, folder, Path(os.devnull)):
        with pytest.raises(OutputError, match=r"is no file that could be replaced: give another name"):
            check_editable(path, place)
    assert pipe.is_fifo()


def test_a_link_stays_one(tmp_path: Path) -> None:
    path, link = _save(tmp_path, BLOCK), tmp_path / "link.yaml"
    link.symlink_to(path.name)
    assert write_thresholds(path, link, THRESHOLDS, CALIBRATION).source == str(link)
    assert link.is_symlink() and path.read_text() == BLOCK_AFTER


def test_what_cannot_be_written_is_found_out_beforehand(tmp_path: Path) -> None:
    path = _save(tmp_path, BLOCK)
    check_editable(path, tmp_path / "new.yaml")
    check_editable(path, path)
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == BLOCK
    with pytest.raises(OutputError, match=r"gone/new\.yaml: cannot be written: No such file"):
        check_editable(path, tmp_path / "gone" / "new.yaml")
    odd = tmp_path / "odd.yaml"
    odd.write_text("? relations\n: - ? name\n    : a\n    ? description\n    : |-\n      b\n", "utf-8")
    with pytest.raises(RelationsFileError, match="can't be edited"):
        check_editable(odd, tmp_path / "new.yaml")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = _save(tmp_path, BLOCK)
    with pytest.raises(OutputError, match=r"gone/new\.yaml: cannot be written: No such file"):
        write_thresholds(path, tmp_path / "gone" / "new.yaml", {}, None)


def test_a_disk_that_takes_no_more_leaves_the_file_that_was_there_and_no_other(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="files cannot be limited there")
    path = _save(tmp_path, BLOCK)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written: File too large"):
            write_thresholds(path, path, THRESHOLDS, CALIBRATION)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == BLOCK
