"""Data sets of a few sentences, in the formats and folders of the real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.corpora import Sizes, make_corpora
from benchmarks.places import Places

NAMES = [f"Name{letter}" for letter in "ABCDEFGHIJKLMNOP"]


def sentence(number: int, mentions: int) -> list[str]:
    """Return tokens in which every third is a name, so many of them."""
    names = [NAMES[(number + index) % len(NAMES)] for index in range(mentions)]
    return [token for name in names for token in ("the", f"{number}th", name)] + ["."]


def document(title: str, sizes: list[int]) -> dict[str, Any]:
    """Return a Re-DocRED document with as many mentions in each sentence."""
    sentences = [sentence(number, size) for number, size in enumerate(sizes)]
    entities = [
        [{"name": own[3 * index + 2], "sent_id": number, "pos": [3 * index + 2, 3 * index + 3], "type": "PER"}]
        for number, own in enumerate(sentences)
        for index in range(sizes[number])
    ]
    return {"title": title, "sents": sentences, "vertexSet": entities, "labels": []}


@pytest.fixture(scope="session")
def data_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data-sets")
    contents: dict[str, object] = {
        "redocred/dev.json.gz": [document("One", [3, 2, 1, 4]), document("Two", [5, 0])],
        "redocred/test.json.gz": [document("Three", [2, 2, 2])],
        "fewrel/fewrel.json.gz": {
            "P1": [
                {"tokens": ["Ann", "met", f"Bob{number}", "."], "h": ["Ann", None, [[0]]], "t": ["Bob", None, [[2]]]}
                for number in range(7)
            ]
        },
    }
    lines = [
        json.dumps({"tokens": ["Cy", "saw", f"Dee{number % 5}", "."], "triples": [
            {"head": [0], "tail": [2], "label_id": "P2", "label": "saw", "src": "zero_rte"}]})
        for number in range(6)
    ]  # fmt: skip
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(gzip.compress(json.dumps(content).encode()))
    (folder / "wikizsl").mkdir()
    (folder / "wikizsl" / "wikizsl.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


@pytest.fixture
def places(data_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Return places with corpora of the few sentences, for a whole command."""
    # Whoever runs the tests wants all processors for them.
    monkeypatch.setattr("benchmarks.__main__.use_processors", lambda: 2)
    places = Places(tmp_path / "data", tmp_path / "results")
    make_corpora(data_sets, places.data, lambda text: len(text.split()), Sizes())
    return places
