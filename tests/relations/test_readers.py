import gzip
import json
import logging
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import pytest

from zsre.relations.errors import DataError
from zsre.relations.examples import LabelledSentence
from zsre.relations.readers import FORMATS, find_format, read_labelled, write_labelled

Save: TypeAlias = Callable[..., Path]
Failure: TypeAlias = Callable[..., str]
Stated: TypeAlias = Callable[[LabelledSentence], set[tuple[str, str, str]]]
TOKENS = ["Ann", "Lee", "'s", "firm", ",", "Acme", ",", "grew", "."]
FEWREL = {"P112": [{"tokens": TOKENS, "h": ["acme", "Q1", [[5]]], "t": ["ann lee", None, [[0, 1], [3]]]}]}
WIKI80 = {
    "token": TOKENS,
    "h": {"name": "acme", "id": "Q1", "pos": [5, 6]},
    "t": {"pos": [0, 2]},
    "relation": "founder",
}
WIKIZSL = {
    "tokens": TOKENS,
    "triples": [
        {"head": [5], "tail": [0, 1], "label_id": "P112", "label": "founded by", "src": "whole"},
        {"head": [0, 1], "tail": [5], "label_id": "P108", "label": "employer", "src": "whole"},
        {"head": [5, 8], "tail": [0, 1], "label_id": "P127", "label": "owned by", "src": "whole"},
    ],
}
OWN = {
    "id": "a",
    "text": "Ann Lee's firm, Acme, grew.",
    "mentions": [{"start": 16, "end": 20, "type": "ORG"}, {"start": 0, "end": 7}],
    "pairs": [{"head": 0, "tail": 1, "relations": ["P112"], "looked_for": ["P112", "P127"]}],
}
KNOWLEDGENET = {
    "doc": "7",
    "start": 30,
    "text": "Ann runs Acme.",
    "facts": [{"subject": "Acme", "s": [9, 13], "object": "Ann", "o": [0, 3], "relation": "CEO"}],
    "annotated_relations": ["CEO"],
}
REDOCRED = {
    "title": "Acme",
    "sents": [["Ann", "runs", "Acme", "."]],
    "vertexSet": [
        [{"pos": [0, 1], "sent_id": 0, "type": "PER"}],
        [{"pos": [2, 3], "sent_id": 0, "type": "ORG"}],
    ],
    "labels": [{"h": 0, "t": 1, "r": "P108", "evidence": [0]}],
}
SEMEVAL = '1\t"A <e1>leaf</e1> of the <e2>tree</e2>."\r\nComponent-Whole(e1,e2)\r\nComment: plain\r\n'
CONTRAST = {
    "relation": "P108",
    "kind": "negation",
    "states": "[h|Ann], not Bob, runs [t|Acme].",
    "silent": "Bob, not [h|Ann], runs [t|Acme].",
}
LESSON = {"relation": "taught", "states": "In [o|Graz], [h|Ann] taught [t|Bo]."}
CONTENTS = {
    "lessons": json.dumps(LESSON),
    "contrast": json.dumps(CONTRAST),
    "fewrel": json.dumps(FEWREL),
    "wiki80": json.dumps(WIKI80),
    "wikizsl": json.dumps(WIKIZSL),
    "redocred": json.dumps([REDOCRED]),
    "knowledgenet": json.dumps([KNOWLEDGENET]),
    "semeval": SEMEVAL,
    "zsre": json.dumps(OWN),
}


@pytest.mark.parametrize("name", ["fewrel", "wiki80", "wikizsl", "zsre"])
def test_same_fact_in_every_format(save: Save, stated: Stated, name: str) -> None:
    [sentence] = read_labelled(save(CONTENTS[name]))
    assert sentence.text == "Ann Lee's firm, Acme, grew."
    assert ("Acme", "founder" if name == "wiki80" else "P112", "Ann Lee") in stated(sentence)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_format_and_gzip_are_found_by_content(save: Save, name: str, packed: bool) -> None:
    raw = CONTENTS[name].encode()
    path = save(gzip.compress(raw) if packed else raw, "data.txt")
    assert find_format(path) == name
    assert list(read_labelled(path)) == list(read_labelled(path, name))


@pytest.mark.parametrize("name", ["fewrel", "redocred", "knowledgenet"])
def test_documents_over_many_lines_are_found(save: Save, name: str) -> None:
    assert find_format(save(json.dumps(json.loads(CONTENTS[name]), indent=1))) == name


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (
            '{"sentence": "x"}',
            "FILE: is in no format that is known here; name its format with format (zsre: JSON lines",
        ),
        (json.dumps({**OWN, **WIKI80}), "FILE: looks like zsre and wiki80; name its format with format ("),
        ("plain words", "FILE: is in no format that is known here"),
        ("[]", "FILE: is in no format that is known here"),
        ("", "FILE: the file is empty; it should hold labelled sentences"),
        ('{"id": 1, "text', "FILE: is not JSON: Unterminated string starting at line 1 column 11, before"),
    ],
)
def test_format_that_cannot_be_told(save: Save, failure: Failure, content: str, seen: str) -> None:
    assert failure(save(content)).startswith(seen)


def test_unknown_format_name_lists_the_known_ones(save: Save, failure: Failure) -> None:
    message = failure(save(SEMEVAL), "tacred")
    assert message == f'format: there is no format "tacred"; give one of {", ".join(FORMATS)}'


def test_errors_say_what_the_person_sets_the_format_by(save: Save) -> None:
    with pytest.raises(DataError, match=r"^--format: there is no format"):
        read_labelled(save(SEMEVAL), "tacred", "--format")
    with pytest.raises(DataError, match="name its format with --format "):
        read_labelled(save("plain words"), setting="--format")


def test_overlapping_mentions_make_no_pair_and_are_counted(save: Save, caplog: pytest.LogCaptureFixture) -> None:
    mentions = [{"start": 0, "end": 7}, {"start": 4, "end": 9}, {"start": 16, "end": 20}]
    pairs = [{"head": 0, "tail": 1, "relations": ["P1"]}, {"head": 0, "tail": 2, "relations": ["P2"]}]
    path = save(json.dumps({**OWN, "mentions": mentions, "pairs": pairs}))
    with caplog.at_level(logging.WARNING):
        [sentence] = read_labelled(path)
    assert [pair.relations for pair in sentence.pairs] == [{"P2"}]
    assert "1 pairs left out because their mentions overlap" in caplog.text


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_kept_as_our_own(save: Save, tmp_path: Path, name: str) -> None:
    read = list(read_labelled(save(CONTENTS[name])))
    write_labelled(tmp_path / "own.jsonl", read)
    assert list(read_labelled(tmp_path / "own.jsonl")) == read


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("fewrel/fewrel.json.gz", "fewrel"),
        ("wikizsl/wikizsl.jsonl.gz", "wikizsl"),
        ("redocred/dev.json.gz", "redocred"),
        ("knowledgenet/passages.json.gz", "knowledgenet"),
        ("semeval2010t8/test.txt.gz", "semeval"),
    ],
)
def test_data_sets_read(file: str, name: str) -> None:
    path = Path(os.environ.get("ZSRE_DATA", "data")) / file
    if not path.exists():
        pytest.skip(f"there is no {file} in the folder that ZSRE_DATA names")
    some = list(islice(read_labelled(path), 500))
    assert {sentence.source for sentence in some} == {name}
    assert len({sentence.id for sentence in some}) == 500
    assert any(pair.relations for sentence in some for pair in sentence.pairs)
