"""What a bad line does: by default it is set aside, and --on-error and --max-reject-rate say otherwise."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.runner.fakes import RECORDS, RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl
from zsre.runner import cli, job_spec

GOOD = jsonl(RECORDS * 3)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", lambda name, processes: FakeAnnotator(TYPES))
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(GOOD + b"{\n\n[]\n" + GOOD)
    return tmp_path


def _run(*flags: str) -> int:
    return cli.main(["corpus.jsonl", "--relations", "relations.yaml", "--quiet", *flags])


def _rejects() -> list[dict[str, object]]:
    lines = Path("corpus.triples/rejects.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _counts() -> dict[str, object]:
    counts: dict[str, object] = json.loads(Path("corpus.triples/run.json").read_bytes())["counts"]
    return counts


def test_a_bad_line_is_set_aside_with_file_line_and_reason() -> None:
    assert _run() == 0
    assert [(reject["file"], reject["line"], reject["reason"]) for reject in _rejects()] == [
        ("corpus.jsonl", 7, "not_json"),
        ("corpus.jsonl", 9, "not_an_object"),
    ]
    assert (_counts()["lines"], _counts()["blank_lines"], _counts()["documents"]) == (15, 1, 12)


@pytest.mark.parametrize("compressed", [False, True])
def test_on_error_fail_stops_at_the_first_bad_line_and_keeps_what_came_before(
    compressed: bool, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if compressed:
        (place / "corpus.jsonl").write_bytes(gzip.compress((place / "corpus.jsonl").read_bytes()))
    assert _run("--on-error", "fail", "--shard-lines", "3") == 2
    error = capsys.readouterr().err
    assert error.startswith("zsre-extract: error: corpus.jsonl, line 7: not_json: ")
    assert len(list(Path("corpus.triples").glob("part-*"))) == 2
    assert json.loads(Path("corpus.triples/run.json").read_bytes())["status"] == "stopped"
    # Without the flag, the same command goes on and lists the line.
    assert _run("--shard-lines", "3") == 0
    assert [reject["line"] for reject in _rejects()] == [7, 9]
    assert _counts()["documents"] == 12


def test_on_error_fail_is_content_with_good_and_blank_lines(place: Path) -> None:
    (place / "corpus.jsonl").write_bytes(GOOD + b"\n\n" + GOOD)
    assert _run("--on-error", "fail") == 0
    assert _counts()["documents"] == 12


@pytest.mark.parametrize(("rate", "code"), [("1", 0), ("0.5", 0), ("0.1429", 0), ("0.1428", 6), ("0.01", 6), ("0", 6)])
def test_too_many_rejects_are_an_error_once_all_is_written(
    rate: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of fourteen records; a blank line is none."""
    assert _run("--max-reject-rate", rate) == code
    assert _counts()["documents"] == 12
    assert json.loads(Path("corpus.triples/run.json").read_bytes())["status"] == "finished"
    error = capsys.readouterr().err
    if code:
        assert error == (
            "zsre-extract: error: 2 of 14 records were rejected (not_an_object 1, not_json 1), and "
            f"--max-reject-rate {float(rate):g} allows fewer; see corpus.triples/rejects.jsonl; "
            "the triples of the others are complete\n"
        )
    else:
        assert error == ""


def test_no_rejects_are_within_any_rate(place: Path) -> None:
    (place / "corpus.jsonl").write_bytes(GOOD)
    assert _run("--max-reject-rate", "0") == 0


@pytest.mark.parametrize("rate", ["-0.1", "1.1", "nan"])
def test_a_rate_that_cannot_be_meant(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--max-reject-rate", rate) == 2
    assert f"--max-reject-rate {float(rate)}: must lie between 0 and 1" in capsys.readouterr().err
    assert not Path("corpus.triples").exists()
