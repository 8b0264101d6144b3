"""Texts as they come, through the pipeline and the model that ship: offsets always reproduce what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.runner.fakes import RELATIONS, held_shard, jsonl
from zsre.runner.job import Job
from zsre.runner.job_spec import JobSpec, open_job
from zsre.runner.records import RecordSettings
from zsre.runner.shard_triples import ShardResult
from zsre.runner.stages import process_shard

ASTRONAUT = "\U0001f469\u200d\U0001f680"
HEBREW, ARABIC = "\u05e9\u05dc\u05d5\u05dd", "\u0627\u0644\u0633\u0644\u0627\u0645"
#: Names and what may stand in, around and between them.
PIECES = [
    "Ann Smith", "Acme Corp.", "Paris", "Zoë Müller", "Zoe\u0308 Mu\u0308ller", "Émile", "李明", "founded", "married",
    "was", "born in", "and", ".", ",", "?", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u200b", "\u202e", "\u2028", "\x00",
    "\ufeff", "\ufffd", ASTRONAUT, HEBREW, ARABIC, "[SEP]", "<b>", "\u0301" * 30, "x" * 300, "1973", "#@!",
]  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=25).map(" ".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=25).map("".join),
    st.text(min_size=1, max_size=200),
)


@pytest.fixture(scope="module")
def job() -> Iterator[Job]:
    with open_job(JobSpec(RELATIONS, RecordSettings(), None, device="cpu", threshold=0.0)) as opened:
        yield opened


def _extracted(job: Job, record: dict[str, object]) -> ShardResult:
    """Extract from a document, and check everything that points into its text."""
    result = process_shard(held_shard(jsonl([record]).splitlines()), job)
    counts, text = result.counts, str(record["text"])
    assert counts.documents + counts.rejected + counts.blank_lines == counts.lines == 1
    left_out = counts.unfitting_pairs + counts.overlapping_pairs + counts.same_name_pairs + counts.crowded_pairs
    assert counts.pairs == counts.scored_pairs + left_out + counts.long_pairs + counts.tokenless_pairs
    for row in result.table.to_pylist():
        for end in ("head", "tail"):
            assert text[row[f"{end}_start"] : row[f"{end}_end"]] == row[end]
            assert row["sent_start"] <= row[f"{end}_start"] < row[f"{end}_end"] <= row["sent_end"]
        assert text[row["sent_start"] : row["sent_end"]] == row["sentence"]
    return result


@given(text=TEXTS)
@example(text=f"{ASTRONAUT} Ann Smith\t{ASTRONAUT} founded\tAcme Corp. in {HEBREW}.")
@example(text="Zoe\u0308 Mu\u0308ller married Ann Smith.\u202e Bob Jones was born in Paris.")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_offsets_reproduce_every_mention_that_the_pipeline_finds(job: Job, text: str) -> None:
    _extracted(job, {"text": text})


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_offsets_reproduce_every_mention_that_is_given(job: Job, data: st.DataObject) -> None:
    text = data.draw(TEXTS)
    spans = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)), st.sampled_from(["PERSON", "ORG", "GPE"]))
    entities = [
        {"start": start, "end": end, "label": label}
        for start, end, label in data.draw(st.lists(spans, max_size=6))
        if start < end
    ]
    _extracted(job, {"text": text, "entities": entities})


@pytest.mark.parametrize(
    "filler",
    ["The weather was fine that day. ", f"{ASTRONAUT} ", "e\u0301", "\n", f"{HEBREW} {ARABIC} "],
    ids=["sentences", "emoji", "combining", "blank", "right-to-left"],
)
def test_a_document_of_a_hundred_thousand_characters(job: Job, filler: str) -> None:
    stated = "Ann Smith married Bob Jones in Paris.\n\n"
    text = (stated + filler * (100_000 // len(filler)) + "\n\n" + stated)[:120_000]
    assert len(text) > 100_000
    result = _extracted(job, {"text": text})
    places = [row["head_start"] for row in result.table.to_pylist() if row["sentence"] == stated.strip()]
    assert {place > 90_000 for place in places} == {False, True}, "found at the beginning and at the end"


def test_a_sentence_of_two_thousand_tokens_is_seen_through_windows_around_its_pairs(job: Job) -> None:
    words = "and then it went on and on in the same old way " * 200
    text = f"Ann Smith married Bob Jones {words}before Cy Doe married Di Roe {words}until Ed Poe married Flo Lee"
    names = ("Ann Smith", "Bob Jones", "Cy Doe", "Di Roe", "Ed Poe", "Flo Lee")
    entities = [{"start": text.index(name), "end": text.index(name) + len(name), "label": "PERSON"} for name in names]
    assert len(text.split()) > 4_000
    near = [(first, second) for first, second in zip(names[::2], names[1::2], strict=True)]
    result = _extracted(job, {"text": text, "entities": entities})
    found = {tuple(sorted((row["head"], row["tail"]))) for row in result.table.to_pylist()}
    assert (result.counts.sentences, result.counts.cut_sentences) == (1, 1)
    assert found == set(near)
    assert result.counts.long_pairs == 24, "pairs of names that no window holds together, both ways round"


def test_such_texts_survive_the_output(job: Job) -> None:
    text = f"Ann\tSmith \x00 married {ASTRONAUT} Bob \u202eJones."
    start = text.index("Bob")
    entities = [{"start": 0, "end": 9, "label": "PERSON"}, {"start": start, "end": start + 10, "label": "PERSON"}]
    (row, *_) = _extracted(job, {"text": text, "entities": entities}).table.to_pylist()
    assert json.loads(json.dumps(row["sentence"])) == text
    assert {row["head"], row["tail"]} == {"Ann\tSmith", "Bob \u202eJones"}
