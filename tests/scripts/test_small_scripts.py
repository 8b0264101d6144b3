"""The scripts about data and triples that have no tests of their own, on data of a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts import agree_with_labels, draw_triples, halve_labels, make_corpus
from tests.runner.drawn import make_run, make_triples
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_own import write_labelled
from zsre.relations.readers import read_labelled

TEXTS = ("Ada wed Bo.", "He wed Cy.", "Di wed Ed.")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    write_labelled(path, [_sentence(number, text) for number, text in enumerate(TEXTS)])
    return path


def _sentence(number: int, text: str) -> LabelledSentence:
    words = text.rstrip(".").split()
    spans = [(text.index(word), text.index(word) + len(word)) for word in (words[0], words[-1])]
    mentions = tuple(Mention(*span, "PERSON") for span in spans)
    return LabelledSentence(f"s/{number}", "made", text, mentions, (LabelledPair(0, 1, frozenset({"P26"})),))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(main: Callable[[], int | None], *arguments: Path | str) -> str:
        monkeypatch.setattr("sys.argv", ["script.py", *map(str, arguments)])
        assert not main()
        return capsys.readouterr().out

    return run


def test_triples_are_compared_with_labels_whatever_their_score(
    tmp_path: Path, data: Path, call: Callable[..., str]
) -> None:
    rows = [
        {"sentence": text, "sent_start": 100, "head_start": 100, "head_end": 102, "relation_id": relation,
         "tail_start": 100 + text.rindex(" ") + 1, "tail_end": 100 + len(text) - 1, "score": score}
        for text, relation, score in (
            (TEXTS[0], "P26", 1.0), (TEXTS[1], "P26", 0.6), (TEXTS[2], "P40", 0.0), ("Not of the data.", "P26", 0.5),
        )
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "part-00000.parquet")
    shown = call(agree_with_labels.main, tmp_path, data)
    assert shown.startswith("4 triples, of which 3 are in sentences of the data.\n")
    assert [line for line in shown.splitlines() if line.startswith("|")][2:] == [
        "| all | 3 | 0.53 | 2 (67%) |",
        "| 0.0 to 0.3 | 1 | 0.00 | 0 (0%) |",
        "| 0.6 to 1.0 | 2 | 0.80 | 2 (100%) |",
    ]
    assert shown.endswith("Of the others, 1 are labelled otherwise, 0 not at all.\n")


def test_labels_are_dealt_turn_about_and_without_pronouns(tmp_path: Path, data: Path, call: Callable[..., str]) -> None:
    halves = tmp_path / "0.jsonl", tmp_path / "1.jsonl"
    assert call(halve_labels.main, data, *halves).splitlines() == [
        f"{halves[0]}: 2 texts, 2 labels; 0 with a pronoun left out",
        f"{halves[1]}: 1 texts, 0 labels; 1 with a pronoun left out",
    ]
    assert [[sentence.text for sentence in read_labelled(half)] for half in halves] == [
        [TEXTS[0], TEXTS[2]], [TEXTS[1]],
    ]  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("--entities",)])
def test_a_corpus_has_a_document_for_each_text(
    flags: tuple[str, ...], tmp_path: Path, data: Path, call: Callable[..., str]
) -> None:
    call(make_corpus.main, data, tmp_path / "corpus.jsonl", *flags)
    records = [json.loads(line) for line in (tmp_path / "corpus.jsonl").read_text("utf-8").splitlines()]
    assert [(record["id"], record["text"]) for record in records] == [(f"s/{n}", text) for n, text in enumerate(TEXTS)]
    assert ("entities" in records[0]) == bool(flags)
    if flags:
        assert records[0]["entities"] == [
            {"start": 0, "end": 3, "label": "PERSON"}, {"start": 8, "end": 10, "label": "PERSON"},
        ]  # fmt: skip


def test_triples_are_drawn_and_shown(tmp_path: Path, call: Callable[..., str]) -> None:
    make_run(tmp_path / "run", make_triples(5))
    lines = call(draw_triples.main, tmp_path / "run", "--count", "2").splitlines()
    assert [line[:3] for line in lines if line[:3].strip().isdigit()] == ["  1", "  2"]
    assert lines[-1].startswith("Mean score of these 2 of 5: 0.")
