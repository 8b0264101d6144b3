"""How the command ends: by Ctrl-C, by an error that nobody expected, or with nobody to listen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.interrupting import assert_interrupted
from tests.runner.fakes import RECORDS, RELATIONS_YAML, FakeEngine, jsonl
from tests.runner.streams import assert_ends
from zsre.runner import cli, job_spec
from zsre.runner.entities import load_annotator

cached_annotator = cache(load_annotator)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(jsonl(RECORDS))
    return tmp_path


def _run(*args: str) -> int:
    return cli.main(["corpus.jsonl", "--relations", "relations.yaml", *args])


def test_an_interrupted_run_says_how_far_it_got(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []

    class Interrupting(FakeEngine):
        def encode(self, sentences):  # type: ignore[no-untyped-def]
            calls.append(len(sentences))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return super().encode(sentences)

    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: Interrupting())
    assert _run("--shard-lines", "1") == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "zsre-extract: interrupted after 1 part (1 line, 1 triple), kept in corpus.triples; "
        "the same command goes on, --overwrite starts anew"
    )
    assert json.loads(Path("corpus.triples/run.json").read_text())["status"] == "stopped"


def test_an_interruption_before_the_start_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(model: Path | None, device: str, threads: int | None) -> FakeEngine:
        raise KeyboardInterrupt

    monkeypatch.setattr(job_spec, "load_engine", interrupt)
    assert _run() == 130
    assert capsys.readouterr().err == "zsre-extract: interrupted before anything was written\n"


def test_an_interruption_while_modules_load_says_so() -> None:
    arguments = ["corpus.jsonl", "--relations", "relations.yaml"]
    told = "zsre-extract: interrupted before anything was written\n"
    assert_interrupted("zsre.runner.cli", "onnxruntime", "zsre.runner.text_command", arguments, told)


def test_what_nobody_expected_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: Path | None, device: str, threads: int | None) -> FakeEngine:
        raise RuntimeError("a defect")

    monkeypatch.setattr(job_spec, "load_engine", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        _run()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = (
        "import sys; from zsre.runner import cli, job_spec; from tests.runner.fakes import FakeEngine; "
        "job_spec.load_engine = lambda *_: FakeEngine(); "
        "sys.exit(cli.main(['corpus.jsonl', '--relations', 'relations.yaml', '--show', '1000', '--quiet']))"
    )
    Path("corpus.jsonl").write_bytes(jsonl(RECORDS * 1000))
    root = str(Path(__file__).parents[2])
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="the shell closes streams")
@pytest.mark.parametrize(
    ("corpus", "streams", "code"),
    [
        ("corpus.jsonl", ">&-", 0),
        ("corpus.jsonl", "<&- >&- 2>&-", 0),
        ("-", "<&-", 3),
        ("corpus.jsonl", "2>/dev/full", 0),
        ("corpus.jsonl", "2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}", 0),
        ("missing.jsonl", "2>/dev/full", 2),
        ("corpus.jsonl", "--show 3 >/dev/full", 4),
    ],
)
def test_standard_streams_that_are_closed_or_full_change_no_exit_code(corpus: str, streams: str, code: int) -> None:
    assert_ends("cli", [corpus, "--relations", "relations.yaml"], streams, code)
