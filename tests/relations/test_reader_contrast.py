from __future__ import annotations

import json
from pathlib import Path

import pytest

from zsre.relations.errors import DataError
from zsre.relations.reader_contrast import read_contrast_pairs
from zsre.relations.readers import find_format, read_labelled

RECORD = {
    "relation": "P69",
    "kind": "negation",
    "states": "[h|Ilse 😀 Branner], who never taught [sic], studied at [t|Calder College].",
    "silent": "At [t|Calder College], [h|Ilse 😀 Branner], who taught [sic], never studied.",
}


def _write(path: Path, *records: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_each_sentence_of_a_pair_has_the_pair_and_what_was_decided(tmp_path: Path) -> None:
    path = _write(tmp_path / "half.jsonl", RECORD)
    assert find_format(path) == "contrast"
    states, silent = read_labelled(path)
    assert states.text == "Ilse 😀 Branner, who never taught [sic], studied at Calder College."
    assert silent.text == "At Calder College, Ilse 😀 Branner, who taught [sic], never studied."
    for sentence, stated in ((states, {"P69"}), (silent, set())):
        (pair,) = sentence.pairs
        head, tail = (sentence.mentions[end] for end in (pair.head, pair.tail))
        assert sentence.text[head.start : head.end] == "Ilse 😀 Branner"
        assert sentence.text[tail.start : tail.end] == "Calder College"
        assert (pair.relations, pair.looked_for) == (stated, {"P69"})
    assert (states.id, silent.id, states.source) == ("half/1/states", "half/1/silent", "contrast")
    (whole,) = read_contrast_pairs(path)
    assert (whole.relation, whole.kind, whole.states, whole.silent) == ("P69", "negation", states, silent)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"states": "[h|A] met B."}, 'field "states": the tail is not marked; write it as [t|…]'),
        ({"silent": "A met [t|B]."}, 'field "silent": the head is not marked; write it as [h|…]'),
        ({"silent": "[h|A] met [h|B] and [t|C]."}, 'field "silent": there is more than one [h|…]; mark each end once'),
        (
            {"states": "[h|A] met [t|B] and [o|C]."},
            'field "states": another entity is marked as [o|…]; a contrast pair',
        ),
        ({"states": "[h|A] met [t| ]."}, 'field "states": [6, 7] is an empty mention; give the characters that name'),
        ({"relation": 3}, 'field "relation": 3 is not a string'),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, fields: dict[str, str], message: str) -> None:
    path = _write(tmp_path / "half.jsonl", RECORD, RECORD | fields)
    with pytest.raises(DataError) as caught:
        list(read_labelled(path))
    assert str(caught.value).startswith(f"{path}, line 2: {message}")
