"""``zsre-explain`` as a command: what it prints, what it refuses, and that its page describes it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.runner.fakes import RECORDS, RELATIONS_YAML, FakeEngine
from tests.runner.pages import first_cells, read_page, section
from tests.runner.streams import assert_ends
from zsre.runner import explain_cli, job_spec
from zsre.runner.entities import load_annotator
from zsre.runner.explain import Verdict
from zsre.runner.pairing import LeftOut

PAGE = read_page("explain.md")
TEXT = "Bill Gates married Melinda French in Hawaii."
cached_annotator = cache(load_annotator)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    Path("relations.yaml").write_text(RELATIONS_YAML)


def _run(*args: str) -> int:
    return explain_cli.main([*args, "--relations", "relations.yaml"])


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("zsre-explain: error: ")


def _give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))


def test_people_are_told_what_became_of_every_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(TEXT) == 0
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == TEXT
    assert "mentions: Bill Gates (PERSON), Melinda French (PERSON), Hawaii (GPE)" in shown
    position = shown.index("Bill Gates → Melinda French")
    assert shown[position + 1].split() == ["spouse", "0.8174", "0.5000", "0.9999", "0.2500", "0.2500", "0.4999"]
    assert shown[position + 2] == "written"
    assert "Bill Gates → Hawaii: no relation allows PERSON as head and GPE as tail" in shown


def test_programs_get_an_object_for_every_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(TEXT, "--json", "--head", "melinda  FRENCH", "--threshold", "0.3") == 0
    pairs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(pair["tail"], pair["left_out"]) for pair in pairs] == [("Bill Gates", None), ("Hawaii", "unfitting")]
    (own,) = pairs[0]["relations"]
    assert own["verdict"] == "other_way_round"
    assert own["reason"] == "better the other way round: Bill Gates –spouse→ Melinda French (higher similarity)"
    assert pairs[0]["sentence"] == TEXT and TEXT[pairs[0]["tail_start"] : pairs[0]["tail_end"]] == "Bill Gates"


def test_a_line_of_a_corpus_brings_its_entities(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _give(monkeypatch, json.dumps(RECORDS[0]).encode() + b"\n")
    assert _run("-", "--record", "--json", "--tail", "Ann") == 0
    (pair,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (pair["head"], pair["head_type"], pair["relations"][0]["verdict"]) == ("Acme", "ORG", "written")


def test_text_from_a_corpus_is_no_markup_and_no_command_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    entities = [{"start": 0, "end": 8, "label": "[b]"}, {"start": 14, "end": 17, "label": "PERSON"}]
    assert _run(json.dumps({"text": "Ann[red]\x1b met Bob.", "entities": entities}), "--record") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "Ann[red]  met Bob." in shown and "Ann[red] ([b]), Bob (PERSON)" in shown


@pytest.mark.parametrize(
    ("args", "data", "message"),
    [
        ([""], None, "TEXT: holds nothing but white space"),
        (["-"], b"", "standard input: holds nothing but white space"),
        (["-"], b"caf\xe9 au lait", "standard input: byte 4, 0xe9, is not UTF-8"),
        (["-"], b"x" * (2**20 + 1), "standard input: more than 1,048,576 bytes"),
        (["x" * 1_000_001], None, "TEXT: more than 1,000,000 characters"),
        (["{", "--record"], None, "TEXT: "),
        ([json.dumps({"body": "x"}), "--record"], None, "TEXT: "),
        ([TEXT, "--top", "0"], None, "--top 0: must be at least 1"),
        ([TEXT, "--threads", "0"], None, "--threads 0: must be at least 1"),
        ([TEXT, "--threshold", "1.5"], None, "--threshold 1.5: must lie between 0 and 1"),
        ([TEXT, "--head", " "], None, "--head ' ': names nothing"),
    ],
    ids=["empty", "no input", "not UTF-8", "long input", "long text", "JSON", "field", "top", "threads", "p", "head"],
)
def test_what_cannot_be_explained_is_refused(
    args: list[str],
    data: bytes | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if data is not None:
        _give(monkeypatch, data)
    assert _run(*args) == 2
    assert _error(capsys).startswith(message)


def test_relations_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_cli.main([TEXT]) == 2
    assert _error(capsys).startswith("--relations is missing")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["It rained."], "no sentence holds two mentions"),
        ([TEXT, "--head", "Gates"], "no pair has the head 'Gates'"),
        ([TEXT, "--head", "Hawaii", "--tail", "Gates"], "no pair has the head 'Hawaii' and the tail 'Gates'"),
    ],
)
def test_nothing_to_explain_is_said(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(*args) == 0
    assert capsys.readouterr().err.startswith(f"zsre-explain: {message}")


def test_a_reader_may_leave_early(tmp_path: Path) -> None:
    """As with ``head``: no traceback, and no exit code of failure."""
    reading, writing = os.pipe()
    os.close(reading)
    command_line = [sys.executable, "-m", "zsre.runner.explain_cli", TEXT, "--relations", "relations.yaml"]
    done = subprocess.run(command_line, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="the shell closes streams")
@pytest.mark.parametrize(
    ("text", "streams", "code"),
    [
        (TEXT, ">&-", 0),
        (TEXT, "<&- >&- 2>&-", 0),
        (TEXT, ">/dev/full", 4),
        (TEXT, "--json >/dev/full", 4),
        ("nothing", "2>/dev/full", 0),
        ("-", "<&-", 2),
    ],
)
def test_standard_streams_that_are_closed_or_full_are_told(text: str, streams: str, code: int) -> None:
    assert_ends("explain_cli", [text, "--relations", "relations.yaml"], streams, code)


def test_the_page_describes_every_flag_and_word() -> None:
    flags = {option for action in explain_cli.build_parser()._actions for option in action.option_strings}
    assert first_cells(section(PAGE, "Flags")) == (flags | {"text"}) - {"-h", "--help"}
    words = {verdict.value for verdict in Verdict} | {reason.value for reason in LeftOut}
    assert first_cells(section(PAGE, "What it shows")) == words
