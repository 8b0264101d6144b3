"""``zsre-judge``: what it asks and saves, what the answers come to, and that they can be calibrated with."""

from __future__ import annotations

import io
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.runner.drawn import OUTPUT, SPOUSE, give, judge, make_run, make_triple, make_triples, order, renamed, saved
from tests.runner.fakes import RELATIONS_YAML, FakeEngine, jsonl
from tests.runner.pages import read_page, section
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.readers import read_labelled
from zsre.relations.relations_file import read_relations
from zsre.runner import cli, eval_cli, eval_triples, job_spec, judge_cli
from zsre.runner.draw import draw, open_finished
from zsre.runner.entities import load_annotator
from zsre.runner.gold import decided_relations
from zsre.runner.job import Job
from zsre.runner.judge import WHAT_COUNTS
from zsre.runner.judged import judged_id, labelled
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.scorer import load_scorer
from zsre.runner.triple_eval import measure

PAGE = section(read_page("eval.md"), "Judging triples of your own")
ROOT = Path(__file__).parents[2]
cached_annotator = cache(load_annotator)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a run of five triples."""
    monkeypatch.chdir(tmp_path)
    make_run(Path("run"), make_triples(5))
    return tmp_path


def asked(out: str) -> list[str]:
    """Return the documents of the triples that were asked about."""
    return [f"d{number}" for number in re.findall(r"^Acme (\d+) –", out, re.MULTILINE)]


def test_each_answer_becomes_a_labelled_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(monkeypatch, ["y", "n", " Y ", "N", "y"]) == 0
    assert list(saved().items()) == list(zip(order(), [True, False, True, False, True], strict=True))
    first = next(iter(read_labelled(OUTPUT)))
    number = order()[0].removeprefix("d")
    assert first == LabelledSentence(
        id=first.id,
        source="judged",
        text=f"Acme {number} was founded by Ann.",
        mentions=(Mention(0, 6, "ORG"), Mention(22, 25, "PERSON")),
        pairs=(LabelledPair(0, 1, frozenset({"P112"}), frozenset({"P112"})),),
    )
    second = list(read_labelled(OUTPUT))[1]
    assert second.pairs == (LabelledPair(0, 1, frozenset(), frozenset({"P112"})),)


def test_a_mention_without_a_type_has_none(place: Path) -> None:
    sentence = labelled(renamed(make_triple(1), head_type=None), right=True)
    assert [mention.type for mention in sentence.mentions] == [None, "PERSON"]


def test_an_id_names_one_triple() -> None:
    triple = make_triple(1)
    others = [
        renamed(triple, doc_id="d2"), renamed(triple, relation_id="P26"), renamed(triple, sentence="Acme 1!"),
        renamed(triple, sent_start=0), renamed(triple, tail_end=triple.tail_end - 1),
        renamed(triple, head_start=triple.tail_start, tail_start=triple.head_start),
    ]  # fmt: skip
    assert len({judged_id(each) for each in (triple, *others)}) == 7
    assert judged_id(renamed(triple, score=0.9, triple_id="x", margin=0.1)) == judged_id(triple)
    assert judged_id(triple).startswith("d1#")


def test_a_person_sees_everything_but_the_score(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("run"), [make_triple(7, score=0.1234), renamed(make_triple(8), relation_id="founded by")])
    assert judge(monkeypatch, ["y", "y"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^(.) of 2: (.*)", out, re.MULTILINE) == [("1", "founded by"), ("2", "founded by (P112)")]
    assert "\nAcme 7 –founded by→ Ann\n[h|Acme 7] was founded by [t|Ann].\ny right, n wrong, s skip, u undo" in out
    assert "0.1" not in out and "0.5" not in out


def test_what_the_relation_means_is_shown_where_a_file_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.yaml").write_text("relations:\n  - {name: founded by, id: P112, description: who started it}\n")
    make_run(Path("run"), [make_triple(7), make_triple(8, relation=SPOUSE)])
    assert judge(monkeypatch, ["y", "y"], "--relations", "own.yaml") == 0
    out = capsys.readouterr().out
    assert re.findall(r"^. of 2: founded by .*\n(.*)", out, re.MULTILINE) == ["the tail is: who started it"]
    assert out.count("the tail is:") == 1
    assert judge(monkeypatch, ["y"], "--relations", "none.yaml", "--seed", "2") == 2
    assert "none.yaml" in capsys.readouterr().err


def test_head_and_tail_are_coloured_where_there_are_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    make_run(Path("run"), [renamed(make_triple(7), head="Ann", head_start=32, head_end=35, tail="Acme 7",
                                   tail_start=10, tail_end=16)])  # fmt: skip
    assert judge(monkeypatch, ["q"]) == 0
    (sentence,) = [line for line in capsys.readouterr().out.splitlines() if "was founded" in line]
    assert re.fullmatch(r"\x1b\[[0-9;]*35mAcme 7\x1b\[0m was founded by \x1b\[[0-9;]*36mAnn\x1b\[0m\.", sentence)


def test_text_of_strangers_is_no_markup_and_no_command_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;owned\x07[red]\u202e"
    triple = renamed(
        make_triple(1), head=evil, head_start=0, head_end=len(evil), tail="Ann", tail_start=len(evil) + 1,
        tail_end=len(evil) + 4, sentence=f"{evil} Ann", sent_start=0, relation=f"r{evil}", relation_id=f"i{evil}",
        doc_id=evil,
    )  # fmt: skip
    make_run(Path("run"), [triple], relations_source=evil, status="finished")
    assert judge(monkeypatch, ["y"]) == 0
    assert judge(monkeypatch, [], "--only", evil + "x") == 2
    said = capsys.readouterr()
    assert "[h| ]0;owned [red] ] [t|Ann]" in said.out
    assert all(character.isprintable() or character == "\n" for character in said.out + said.err)
    assert next(iter(read_labelled(OUTPUT))).text == triple.sentence, "what is saved is the text as it was"


def test_what_is_no_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(monkeypatch, ["", "yess", "\udce9", "y"]) == 0
    out = capsys.readouterr().out
    assert out.count("answer with y, n, s, u, q, ?\n") == 3
    assert saved() == {order()[0]: True}


def test_whole_words_and_a_mark_of_the_encoding_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(monkeypatch, ["\ufeffYes", "no", "YES", "q"]) == 0
    assert list(saved().values()) == [True, False, True]


def test_what_counts_as_right_is_said_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(monkeypatch, ["?", "n", "q"]) == 0
    out = capsys.readouterr().out
    assert out.count(WHAT_COUNTS) == 1 and asked(out) == order()[:2]
    assert saved() == {order()[0]: False}


def test_undoing_goes_back_one_answer_at_a_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(monkeypatch, ["y", "s", "y", "u", "n", "u", "u", "u", "u", "n", "q"]) == 0
    out = capsys.readouterr().out
    first, second, third, fourth, _ = order()
    assert asked(out) == [first, second, third, fourth, third, fourth, third, second, first, first, second]
    assert out.count("nothing was answered yet that could be undone") == 1
    assert saved() == {first: False}


def test_what_an_earlier_session_saved_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    judge(monkeypatch, ["y", "y"])
    judge(monkeypatch, ["u", "n", "u", "u", "u"])
    assert saved() == dict.fromkeys(order()[:2], True)


def test_a_file_that_every_answer_was_taken_out_of_may_be_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    judge(monkeypatch, ["y", "u"])
    assert OUTPUT.read_bytes() == b""
    assert judge(monkeypatch, ["n"]) == 0
    assert saved() == {order()[0]: False}


def test_it_goes_on_and_asks_again_about_what_was_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(monkeypatch, ["y", "s", "n", "q"])
    capsys.readouterr()
    first, second, third, fourth, fifth = order()
    assert judge(monkeypatch, ["n", "n", "y"]) == 0
    out = capsys.readouterr().out
    assert asked(out) == [second, fourth, fifth] and "\n2 of 5: " in out
    assert saved() == {first: True, third: False, second: False, fourth: False, fifth: True}
    before = OUTPUT.read_bytes()
    assert judge(monkeypatch, ["y"]) == 0
    assert asked(capsys.readouterr().out) == [] and OUTPUT.read_bytes() == before


def test_the_same_triple_is_asked_about_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A document that a corpus holds twice, under one id, gives the same rows twice."""
    make_run(Path("run"), [make_triple(1), make_triple(1), make_triple(2)])
    assert judge(monkeypatch, ["y", "y", "y"]) == 0
    out = capsys.readouterr().out
    assert len(asked(out)) == 2
    assert "judged 3 of the 3 triples drawn: 3 right" in out
    assert "\n  1 of these reads as another does: asked about once\n" in out


def test_text_that_several_documents_print_is_asked_about_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = make_triple(1)
    moved = {name: getattr(one, name) + 7 for name in ("sent_start", "sent_end", "head_start", "head_end",
                                                        "tail_start", "tail_end")}  # fmt: skip
    copies = [one, renamed(one, doc_id="e", **moved), renamed(one, doc_id="f", score=0.1)]
    others = [
        renamed(one, doc_id="g", relation_id="P26"),
        renamed(one, doc_id="h", head=one.tail, head_start=one.tail_start, head_end=one.tail_end,
                tail=one.head, tail_start=one.head_start, tail_end=one.head_end),
    ]  # fmt: skip
    make_run(Path("run"), [*copies, *others])
    answers = ["n" if triple.doc_id in "gh" else "y" for triple in draw(open_finished("run"), 9, 13).triples]
    firsts = [answer for place, answer in enumerate(answers) if answer == "n" or "y" not in answers[:place]]
    assert judge(monkeypatch, firsts) == 0
    out = capsys.readouterr().out
    assert len(list(read_labelled(OUTPUT))) == 3 and "3 of 3: " in out
    assert "judged 5 of the 5 triples drawn: 3 right, exactly 60.0 %" in out
    assert "\n  2 of these read as another does: asked about once\n" in out


@pytest.mark.parametrize("seed", range(4))
def test_a_verdict_on_any_copy_is_one_on_all(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [renamed(make_triple(1), doc_id=f"e{number}", score=number / 9) for number in range(4)]
    make_run(Path("run"), copies)
    assert judge(monkeypatch, ["y"], "--count", "1", "--seed", str(seed)) == 0
    before = OUTPUT.read_bytes()
    assert judge(monkeypatch, ["n"]) == 0
    assert OUTPUT.read_bytes() == before


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_whatever_the_file_held_stays(
    end: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = '{"note": "by hand", "id":"1",  "text": "Ann met Bob.", "mentions": [], "pairs": []}'
    OUTPUT.write_bytes((own + end).encode())
    assert judge(monkeypatch, ["y", "n", "u"]) == 0
    lines = OUTPUT.read_bytes().split(b"\n")
    assert lines[0].decode().rstrip("\r") == own
    assert [json.loads(line)["id"] for line in lines if line.strip()][1:] == [
        judged_id(triple) for triple in draw(open_finished("run"), 100, 13).triples[:1]
    ]
    assert "judged.jsonl holds 2 labelled texts in all" in capsys.readouterr().out


def test_another_draw_adds_to_the_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(Path("run"), make_triples(40), make_triples(20, SPOUSE))
    judge(monkeypatch, ["y"] * 5, "--count", "5", "--only", "founded by")
    out = capsys.readouterr().out
    assert "judged 5 of the 5 triples drawn: 5 right; an estimate for all 40: 100.0 %" in out
    judge(monkeypatch, ["n"] * 4, "--count", "4", "--only", "spouse", "--seed", "2")
    out = capsys.readouterr().out
    assert (
        "judged 4 of the 4 triples drawn: 0 right; an estimate for all 20: 0.0 %" in out
        and "holds 9 labelled texts in all" in out
    )
    assert len(list(read_labelled(OUTPUT))) == 9


def test_every_answer_is_saved_before_the_next_question(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Watched(io.BytesIO):
        def readline(self, *args: Any) -> bytes:
            sizes.append(len(OUTPUT.read_bytes().splitlines()) if OUTPUT.exists() else 0)
            return super().readline(*args)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Watched(b"y\ns\nn\ny\nq\n")))
    assert judge_cli.main(["run", "-o", str(OUTPUT)]) == 0
    assert sizes == [0, 1, 1, 2, 3]


def test_what_was_judged_can_be_calibrated_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of the page, one after the other: every triple that was judged is a candidate, and scores move."""
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    monkeypatch.setattr(eval_triples, "load_annotator", cached_annotator)
    monkeypatch.setattr(eval_triples, "load_scorer", lambda model, device, threads: FakeEngine())
    Path("relations.yaml").write_text(RELATIONS_YAML)
    # The fake engine scores a pair 0.82 where the sentence has the relation's word, else 0.03.
    records = []
    for number in range(60):
        text = f"Friends came. Bob {'knows' if number % 3 == 0 else 'married'} Ann in {number}."
        starts = [text.index(name) for name in ("Bob", "Ann")]
        entities = [{"start": start, "end": start + 3, "label": "PERSON"} for start in starts]
        records.append({"text": text, "entities": entities})
    Path("corpus.jsonl").write_bytes(jsonl(records))
    extracted, asked_for, calibrated = re.findall(r"^\$ \S+ (.+)$", PAGE, re.MULTILINE)
    assert cli.main([*extracted.replace("0.05", "0.01").split(), "--quiet"]) == 0
    drawn = draw(open_finished("corpus.triples"), 100, 13).triples
    answers = ["y" if (triple.score > 0.5) != (number % 8 == 0) else "n" for number, triple in enumerate(drawn)]
    give(monkeypatch, answers)
    assert judge_cli.main(asked_for.split()) == 0
    assert f"  zsre-eval {calibrated}\n" in capsys.readouterr().out
    assert eval_cli.main([*calibrated.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["fitted_texts"], found["candidates"], found["right"]) == (len(drawn), len(drawn), answers.count("y"))
    after = read_relations(Path("calibrated.yaml"))
    assert after.calibration is not None and all(relation.threshold is not None for relation in after)


@pytest.mark.slow
def test_a_sentence_alone_gives_its_pair_the_similarity_that_it_had_in_its_document() -> None:
    """With the model that ships, and spaCy: else what is judged would be another candidate than what is fitted."""
    corpus, relations = ROOT / "examples" / "corpus.jsonl", read_relations(ROOT / "examples" / "relations.yaml")
    flags = ["--relations", str(relations.source), "--threshold", "0.02", "--device", "cpu", "--quiet"]
    assert cli.main([str(corpus), *flags]) == 0
    drawn = draw(open_finished("corpus.triples"), 1_000, 13).triples
    assert len(drawn) > 50
    sentences = [labelled(triple, right=True) for triple in drawn]
    scorer = load_scorer(None, "cpu", 1)
    rules = make_rules(relations, scorer.contract, None, 3)
    job = Job(RecordSettings(), cached_annotator(), scorer, relations, rules)
    found = measure(job, sentences, decided_relations(sentences), "given").possible
    similarity = dict(zip(found.text.tolist(), found.similarity.tolist(), strict=True))
    assert [similarity[place] for place in range(len(drawn))] == [triple.similarity for triple in drawn]
