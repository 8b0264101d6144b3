from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zsre.relations.catalogue import load_catalogue, load_relations
from zsre.relations.cli import main
from zsre.relations.relation import RelationSet


def _printed(*words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> RelationSet:
    assert main(words) == 0
    file = tmp_path / "relations.yaml"
    file.write_text(capsys.readouterr().out, "utf-8")
    return load_relations(str(file))


def test_the_whole_catalogue_comes_out_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _printed(capsys=capsys, tmp_path=tmp_path).relations == load_catalogue().relations


@pytest.mark.parametrize(
    ("words", "ids"), [(("p112",), {"P112"}), (("Founded", "by"), {"P112"}), (("spouse",), {"P26"})]
)
def test_words_choose_by_id_name_description_and_terms(
    words: tuple[str, ...], ids: set[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = _printed(*words, capsys=capsys, tmp_path=tmp_path)
    assert ids <= set(found.ids) and len(found) < 20
    for relation in found:
        told = " ".join((relation.id, relation.name, relation.description, *relation.head.terms, *relation.tail.terms))
        assert all(word.casefold() in told.casefold() for word in words)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("zsre 0.")


def test_an_inverse_stays_where_both_are_chosen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pair = next(relation for relation in load_catalogue() if relation.inverse)
    alone = _printed(pair.id, capsys=capsys, tmp_path=tmp_path)
    assert alone.ids == (pair.id,) and alone.relations[0].inverse is None
    everything = _printed(capsys=capsys, tmp_path=tmp_path)
    assert everything.relations[everything.index(pair.id)].inverse == pair.inverse


def test_words_that_no_relation_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["founded", "zebra\x1b"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "no relation that ships has 'founded' and 'zebra" in told.err and "\x1b" not in told.err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m zsre.relations.cli | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("relations:\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_is_full_is_told() -> None:
    command = f"{sys.executable} -m zsre.relations.cli > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and done.stderr.startswith("zsre-relations: error: standard output: cannot be written")
