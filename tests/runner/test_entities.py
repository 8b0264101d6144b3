from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.examples import Mention
from zsre.runner import entities
from zsre.runner.entities import Document, PipelineAnnotator, load_annotator, piece_spans
from zsre.runner.pipeline import Annotation
from zsre.runner.records import Record

TEXT = "Bill Gates founded Microsoft in Albuquerque.  He left in 2008.\n\n😀 Anna Smith married Bob Jones."


@pytest.fixture(scope="module")
def annotator() -> PipelineAnnotator:
    return load_annotator()


def _record(text: str, entities: Sequence[Mention] | None = None) -> Record:
    return Record("d", text, None if entities is None else tuple(entities), (), len(text))


def _found(document: Document) -> list[tuple[str, str | None]]:
    return [
        (sentence.text[mention.start : mention.end], mention.type)
        for sentence in document.sentences
        for mention in sentence.mentions
    ]


def test_sentences_and_mentions_reproduce_the_text(annotator: PipelineAnnotator) -> None:
    (document,) = annotator.annotate([_record(TEXT)])
    assert [sentence.text for sentence in document.sentences] == [
        "Bill Gates founded Microsoft in Albuquerque.",
        "He left in 2008.",
        "😀 Anna Smith married Bob Jones.",
    ]
    assert all(TEXT[sentence.start : sentence.end] == sentence.text for sentence in document.sentences)
    found = _found(document)
    assert ("Bill Gates", "PERSON") in found
    assert ("Bob Jones", "PERSON") in found


def test_given_entities_are_used_instead_and_none_are_looked_for(annotator: PipelineAnnotator) -> None:
    start = TEXT.index("Anna")
    given_entities = [Mention(start, start + 4, "X"), Mention(0, 4, "Y")]
    asked = [_record(TEXT), _record(TEXT, given_entities), _record(TEXT, []), _record(TEXT)]
    first, second, third, fourth = annotator.annotate(asked)
    assert _found(second) == [("Bill", "Y"), ("Anna", "X")]
    assert _found(third) == []
    assert _found(first) == _found(fourth) != []
    assert [document.record for document in (first, second, third, fourth)] == asked
    assert [s.text for s in second.sentences] == [s.text for s in first.sentences]


def test_entities_are_only_looked_for_where_none_were_given() -> None:
    class Recording:
        name, labels = "recording", frozenset({"X"})
        asked: ClassVar[list[tuple[bool, str]]] = []

        def annotate(self, texts: Iterable[str], find_entities: bool) -> Iterator[Annotation]:
            for text in texts:
                self.asked.append((find_entities, text))
                yield Annotation(((0, len(text)),), ())

        def close(self) -> None:
            self.asked.clear()

    annotator = PipelineAnnotator(Recording())
    texts = [
        sentence.text
        for document in annotator.annotate([_record("A.", []), _record("B."), _record("C.", [])])
        for sentence in document.sentences
    ]
    assert texts == ["A.", "B.", "C."]
    assert sorted(Recording.asked) == [(False, "A."), (False, "C."), (True, "B.")]
    annotator.close()
    assert Recording.asked == []


def test_a_mention_across_a_sentence_end_is_counted_and_left_out(annotator: PipelineAnnotator) -> None:
    crossing = Mention(TEXT.index("Albuquerque"), TEXT.index("left"), "X")
    (document,) = annotator.annotate([_record(TEXT, [crossing, Mention(0, 4, "Y")])])
    assert document.crossing == 1
    assert _found(document) == [("Bill", "Y")]


def test_a_blank_line_ends_a_sentence(annotator: PipelineAnnotator) -> None:
    text = "Early years of Bill Gates\n \r\nBill Gates met Paul Allen\nin Seattle"
    (document,) = annotator.annotate([_record(text, [Mention(15, 40, "X"), Mention(29, 33, "Y")])])
    assert [sentence.text for sentence in document.sentences] == [
        "Early years of Bill Gates",
        "Bill Gates met Paul Allen\nin Seattle",
    ]
    assert (document.crossing, _found(document)) == (1, [("Bill", "Y")])


def test_a_mention_inside_another_is_kept(annotator: PipelineAnnotator) -> None:
    (document,) = annotator.annotate([_record(TEXT, [Mention(0, 10, "A"), Mention(0, 4, "B"), Mention(5, 10, "C")])])
    assert sorted(_found(document)) == [("Bill", "B"), ("Bill Gates", "A"), ("Gates", "C")]


def test_nul_tabs_and_combining_marks_survive(annotator: PipelineAnnotator) -> None:
    text = "Bill Gates\x00 founded\tMicrosoft in Cafe\u0301.\u2028 שלום Paul Allen left it."
    (document,) = annotator.annotate([_record(text)])
    assert all(text[sentence.start : sentence.end] == sentence.text for sentence in document.sentences)
    assert "".join(sentence.text for sentence in document.sentences).replace(" ", "").replace(
        "\u2028", ""
    ) == text.replace(" ", "").replace("\u2028", "")


def test_a_long_text_is_read_in_pieces_with_offsets_into_the_whole(
    annotator: PipelineAnnotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join(["Bill Gates founded Microsoft in Albuquerque."] * 50)
    monkeypatch.setattr(entities.piece_spans, "__defaults__", (200,))
    (document,) = annotator.annotate([_record(text)])
    assert [sentence.start for sentence in document.sentences] == [45 * index for index in range(50)]
    assert all(text[sentence.start : sentence.end] == sentence.text for sentence in document.sentences)
    assert len(_found(document)) == 150


@given(st.text(alphabet="ab .\n", max_size=200), st.integers(1, 30))
def test_pieces_cover_a_text_and_none_is_too_long(text: str, size: int) -> None:
    spans = list(piece_spans(text, size))
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(end - start <= size for start, end in spans)


def test_pieces_end_at_line_ends_then_full_stops_then_spaces() -> None:
    text = "aa bb.\ncc. dd ee ff gg"
    assert [text[start:end] for start, end in piece_spans(text, 10)] == ["aa bb.\n", "cc. ", "dd ee ff ", "gg"]


def test_a_pipeline_without_entities_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path)
    assert load_annotator(str(tmp_path)).labels == frozenset()
    assert "finds no entities: only those given in the input are used" in caplog.text
