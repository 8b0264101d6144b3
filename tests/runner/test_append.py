"""Runs that take in what their input has gained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runner.fakes import jsonl
from tests.runner.resuming import (
    CORPUS,
    facts_of,
    place,
    run_command,
    stop_run,
    table_of,
    told_error,
)

#: A fixture is used by its name.
__all__ = ["place"]


def test_what_was_added_to_the_input_is_taken_in_on_request(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("-o", "out") == 0
    rows = table_of("out").num_rows
    old = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("part-*")}
    assert run_command("-o", "out", "--append") == 0
    assert {path.name: path.stat().st_mtime_ns for path in Path("out").glob("part-*")} == old
    with (place / "corpus.jsonl").open("ab") as corpus:
        corpus.write(jsonl([{"text": "Kim married Lee."}]) + b"{\n")
    (place / "more.jsonl").write_bytes(
        jsonl([{"text": "Initech was founded by Kim."}, {"id": "x", "text": "Kim married Jo."}])
    )
    assert run_command("corpus.jsonl", "more.jsonl", "-o", "out", "--append") == 0
    new = table_of("out").slice(rows).to_pylist()
    lines = CORPUS.count(b"\n")
    assert [(row["doc_id"], row["head"], row["tail"]) for row in new] == [
        (f"line-{lines + 1}", "Kim", "Lee"),
        ("x", "Kim", "Jo"),
    ]
    rejects = [json.loads(line) for line in Path("out/rejects.jsonl").read_text().splitlines()]
    assert [reject["line"] for reject in rejects[-1:]] == [lines + 2]
    counts = facts_of("out")["counts"]
    assert isinstance(counts, dict) and counts["lines"] == lines + 4
    assert run_command("corpus.jsonl", "more.jsonl", "-o", "out") == 4
    assert "holds a finished run" in told_error(capsys)


def test_an_appending_run_that_stops_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command("-o", "out") == 0
    with (place / "corpus.jsonl").open("ab") as corpus:
        corpus.write(CORPUS)
    stop_run(monkeypatch, "-o", "out", "--append", after=9)
    assert run_command("-o", "out") == 0
    assert facts_of("out")["status"] == "finished"
    assert table_of("out").num_rows == 2 * _table_of_one_run()


def _table_of_one_run() -> int:
    Path("one.jsonl").write_bytes(CORPUS)
    assert run_command("one.jsonl", "-o", "one") == 0
    return table_of("one").num_rows


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (b'{"text": "a"}\n', b'{"text": "b"}\n{}\n', "is no longer what it was"),
        (b'{"text": "a"}', b'{"text": "a"}\n{}\n', "its last line had no end when it was read"),
        (b'{"text": "a"}\n', b"", "is no longer what it was"),
    ],
)
def test_only_what_comes_at_the_end_can_be_appended(
    before: bytes, after: bytes, told: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "corpus.jsonl").write_bytes(before)
    assert run_command("-o", "out") == 0
    (place / "corpus.jsonl").write_bytes(after)
    assert run_command("-o", "out", "--append") in (2, 4)
    assert told in told_error(capsys)


def test_appending_cannot_be_meant_together_with_some_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("--append", "--overwrite") == 2
    assert "--append and --overwrite: one keeps the earlier run" in told_error(capsys)
    assert run_command("--append", "--limit", "3") == 2
    assert "cannot go together with --limit" in told_error(capsys)
