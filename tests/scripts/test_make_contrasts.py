from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import spacy

from scripts import make_contrasts as script
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.reader_contrast import read_contrast_pairs
from zsre.relations.reader_own import write_labelled
from zsre.relations.readers import read_labelled
from zsre.runner.pipeline import installed_default

STATES = frozenset({"P112"})
TEXTS = {
    "The firm Brightwater was founded by Ada Holm in 1990.": ("Brightwater", "Ada Holm"),
    "In 1987, Jonas Reck founded Millrace.": ("Millrace", "Jonas Reck"),
    "Lena Vogt is the founder of Tidewell.": ("Tidewell", "Lena Vogt"),
    "Karl Brandt established Northgate with his brothers.": ("Northgate", "Karl Brandt"),
}


@pytest.fixture(scope="module")
def nlp() -> Any:
    return spacy.load(installed_default())


def _sentence(text: str, head: str, tail: str, number: int = 0) -> LabelledSentence:
    mentions = tuple(Mention(text.index(name), text.index(name) + len(name)) for name in (head, tail))
    return LabelledSentence(f"s/{number}", "made", text, mentions, (LabelledPair(0, 1, STATES),))


def _sentences() -> list[LabelledSentence]:
    return [_sentence(text, *names, number) for number, (text, names) in enumerate(TEXTS.items())]


def _forms(nlp: Any, text: str, head: str, tail: str) -> dict[str, str]:
    found = list(script.statements([_sentence(text, head, tail)], nlp, random.Random(1)))
    if not found:
        return {}
    for clause in found[0].forms.values():
        assert [clause.text[start:end] for start, end in clause.spans] == [head, tail]
    return {name: clause.text for name, clause in found[0].forms.items()}


def test_a_main_clause_is_denied_asked_and_put_off_with_its_mentions_in_place(nlp: Any) -> None:
    forms = _forms(nlp, "The firm Brightwater was founded by Ada Holm in 1990.", "Brightwater", "Ada Holm")
    assert forms["plain"] == "the firm Brightwater was founded by Ada Holm in 1990"
    assert re.fullmatch("the firm Brightwater was (not|never) founded by Ada Holm in 1990", forms["negated"])
    assert forms["asked"] == "was the firm Brightwater founded by Ada Holm in 1990"
    assert re.fullmatch("the firm Brightwater (may|might|could) have been founded by .*", forms["hedged"])


def test_a_verb_without_an_auxiliary_gets_one(nlp: Any) -> None:
    forms = _forms(nlp, "In 1987, Jonas Reck founded Millrace.", "Millrace", "Jonas Reck")
    assert forms["negated"] == "in 1987, Jonas Reck did not found Millrace"
    assert forms["asked"] == "in 1987, did Jonas Reck found Millrace"
    assert re.fullmatch("in 1987, Jonas Reck (may|might|could) have founded Millrace", forms["hedged"])


def test_somebody_else_takes_the_subject_s_place(nlp: Any) -> None:
    forms = _forms(nlp, "Lena Vogt is the founder of Tidewell.", "Tidewell", "Lena Vogt")
    assert re.fullmatch(r"(a|an|the) \w+ of Lena Vogt is the founder of Tidewell", forms["other"])


@pytest.mark.parametrize(
    ("text", "head", "tail"),
    [
        ("Paul Ives, founder of Larkfield, moved to Leeds.", "Larkfield", "Paul Ives"),
        ("Mary Oke visited the Larkfield office in Lagos.", "Larkfield", "Lagos"),
        ("Paul Ives did not found Larkfield.", "Larkfield", "Paul Ives"),
        ("Did Paul Ives found Larkfield?", "Larkfield", "Paul Ives"),
        ('"Paul Ives founded Larkfield."', "Larkfield", "Paul Ives"),
        ("Founded by Paul Ives, the Larkfield works in Hull.", "Larkfield", "Paul Ives"),
    ],
)
def test_what_is_claimed_whatever_stands_around_it_or_is_open_already_is_left_out(
    nlp: Any, text: str, head: str, tail: str
) -> None:
    assert _forms(nlp, text, head, tail) == {}


def _joined(nlp: Any, seed: int = 3, times: int = 40) -> list[LabelledSentence]:
    generator = random.Random(seed)
    found = list(script.statements(_sentences() * times, nlp, generator))
    fillers, frames = script.load_frames(script.FRAMES, nlp, generator)
    return list(script.contrasts(found, fillers, frames, generator))


def test_a_claimed_clause_states_what_it_did_and_nothing_else_is_stated(nlp: Any) -> None:
    sentences = _joined(nlp)
    known = {frozenset(names) for names in TEXTS.values()}
    stated: Counter[tuple[int, int]] = Counter()
    for sentence in sentences:
        names = [sentence.text[mention.start : mention.end] for mention in sentence.mentions]
        own, across = sentence.pairs[: len(names) // 2], sentence.pairs[len(names) // 2 :]
        assert all(frozenset((names[pair.head], names[pair.tail])) in known for pair in own)
        assert all(frozenset((names[pair.head], names[pair.tail])) not in known for pair in across)
        assert all(pair.looked_for is None for pair in sentence.pairs), "a negative for all relations"
        assert {pair.relations for pair in own} <= {STATES, frozenset()} and not any(pair.relations for pair in across)
        assert len(across) == (2 if len(own) == 2 else 0)
        stated[len(own), sum(bool(pair.relations) for pair in own)] += 1
    assert stated.keys() == {(1, 0), (1, 1), (2, 1), (2, 2)}
    assert stated[2, 1] > len(sentences) / 3


def test_what_is_asked_is_open_and_what_stands_beside_it_is_not(nlp: Any) -> None:
    one, other = list(script.statements(_sentences()[:2], nlp, random.Random(1)))
    filled = script.fill("{C}, but {o:asked}?", one, other)
    assert filled is not None
    text, mentions, pairs = filled
    assert text == "In 1987, Jonas Reck founded Millrace, but was the firm Brightwater founded by Ada Holm in 1990?"
    names = [(text[mentions[pair.head].start : mentions[pair.head].end], pair.relations) for pair in pairs]
    assert names[:2] == [("Millrace", STATES), ("Brightwater", frozenset())]


def test_the_same_seed_gives_the_same_sentences(nlp: Any) -> None:
    assert _joined(nlp, 5, 4) == _joined(nlp, 5, 4) != _joined(nlp, 6, 4)


def test_every_frame_has_both_clauses_and_every_filler_can_stand_in_it(nlp: Any) -> None:
    fillers, frames = script.load_frames(script.FRAMES, nlp, random.Random(1))
    texts = [frame for kind in frames.values() for frame in kind]
    assert len(set(texts)) == len(texts)
    for frame in texts:
        assert sorted(name.lower() for name, _ in script.SLOT.findall(frame)) in (["c", "o"], ["c", "d"])
        assert any(script.fill(frame, one, fillers[0]) for one in fillers) or ":other" in frame
    written = script.FRAMES.read_text(encoding="utf-8").split("fillers:")[1]
    assert len(fillers) == written.count("\n  - ")


def test_frames_and_fillers_share_no_phrase_of_four_words_with_the_test_half() -> None:
    def phrases(texts: Sequence[str]) -> set[tuple[str, ...]]:
        words = [re.findall(r"[\w'’{}:-]+", text.lower()) for text in texts]
        return {tuple(each[start : start + 4]) for each in words for start in range(len(each) - 3)}

    lines = re.findall(r"^  - \"?(.*?)\"?$", script.FRAMES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pairs = read_contrast_pairs(script.FRAMES.with_name("test.jsonl"))
    assert len(lines) > 60
    assert not phrases(lines) & phrases([side.text for pair in pairs for side in (pair.states, pair.silent)])


def test_the_file_is_labelled_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = tmp_path / "data.jsonl", tmp_path / "contrasts.jsonl"
    write_labelled(data, _sentences() * 5)
    monkeypatch.setattr("sys.argv", ["make_contrasts.py", str(data), str(output), "--per-relation", "6"])
    assert script.main() == 0
    written = len(list(read_labelled(output)))
    assert 0 < written <= 6 and capsys.readouterr().out == f"{output}: {written} sentences\n"
    assert {json.loads(line)["source"] for line in output.read_text(encoding="utf-8").splitlines()} == {"contrasts"}


def test_a_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["make_contrasts.py", str(tmp_path / "none.json"), str(tmp_path / "out.jsonl")])
    assert script.main() == 2
    assert "none.json" in capsys.readouterr().err
