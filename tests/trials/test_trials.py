"""The trials' own parts: what counts as identical, what a fuzzer makes, and the page."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trials import corpora
from trials.__main__ import main
from trials.page import PAGE, RECORDS
from trials.runs import TrialError, outcome, run

MACHINE = {"processor": "one", "used": 2, "memory_gb": 8, "python": "3.11.0"}


def _write(folder: Path, scores: list[float], parts: int = 1, status: str = "finished", rejects: bytes = b"") -> Path:
    folder.mkdir()
    table = pa.table({"head": [f"h{n}" for n in range(len(scores))], "score": pa.array(scores, pa.float32())})
    size = len(scores) // parts
    for number in range(parts):
        pq.write_table(table.slice(number * size, size), folder / f"part-{number:05d}.parquet")
    (folder / "rejects.jsonl").write_bytes(rejects)
    (folder / "run.json").write_text(json.dumps({"status": status, "counts": {"lines": 4}}))
    return folder


def test_runs_are_identical_that_have_the_same_rows_rejects_and_counts(tmp_path: Path) -> None:
    one = outcome(_write(tmp_path / "one", [0.5, 0.25, 0.75, 0.1]))
    assert one.rows == 4
    assert outcome(_write(tmp_path / "parts", [0.5, 0.25, 0.75, 0.1], parts=2)) == one
    assert outcome(_write(tmp_path / "rounded", [0.50001, 0.25, 0.75, 0.1])) == one
    for name, other in (
        ("score", _write(tmp_path / "score", [0.5, 0.25, 0.75, 0.2])),
        ("order", _write(tmp_path / "order", [0.25, 0.5, 0.75, 0.1])),
        ("fewer", _write(tmp_path / "fewer", [0.5, 0.25, 0.75])),
        ("rejects", _write(tmp_path / "rejects", [0.5, 0.25, 0.75, 0.1], rejects=b"{}")),
    ):
        assert outcome(other) != one, name


def test_a_run_that_is_not_finished_is_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match="stopped, not finished"):
        outcome(_write(tmp_path / "out", [0.5], status="stopped"))


def test_an_exit_code_that_was_not_expected_ends_a_trial() -> None:
    assert run(["sh", "-c", "echo why >&2; exit 4"], expected=4) == "why"
    with pytest.raises(TrialError, match="exit code 4, not 0: why"):
        run(["sh", "-c", "echo why >&2; exit 4"])


@pytest.fixture
def benchmark_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = [json.dumps({"id": str(n), "text": f"Ann founded Acme, number {n}."}) for n in range(250)]
    (tmp_path / "sentences.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(corpora, "Places", lambda: type("Places", (), {"data": tmp_path}))
    (tmp_path / "trial").mkdir()
    return tmp_path / "trial"


def test_between_documents_are_lines_that_are_none(benchmark_texts: Path) -> None:
    lines = corpora.sentences(benchmark_texts, 200, between=50).read_bytes().splitlines()
    assert len(lines) == 204
    assert [number for number, line in enumerate(lines, start=1) if not line.startswith(b'{"id"')] == [
        51,
        102,
        153,
        204,
    ]


def test_a_fuzzer_makes_the_same_lines_again_and_nearly_all_differ(benchmark_texts: Path) -> None:
    first = corpora.mutated(benchmark_texts, 500, seed=1).read_bytes()
    assert corpora.mutated(benchmark_texts, 500, seed=1).read_bytes() == first
    assert corpora.mutated(benchmark_texts, 500, seed=2).read_bytes() != first
    originals = set(corpora.sentences(benchmark_texts, 250, between=0).read_bytes().splitlines())
    lines = first.split(b"\n")
    assert sum(line in originals for line in lines) < 100
    kinds = Counter(line.startswith(b"{") and line.endswith(b"}") for line in lines)
    assert min(kinds.values()) > 100, "some still look like documents, some don't"


def test_without_the_benchmarks_texts_the_command_that_makes_them_is_told(benchmark_texts: Path) -> None:
    (benchmark_texts.parent / "sentences.jsonl").unlink()
    with pytest.raises(TrialError, match="make it with: python -m benchmarks corpus"):
        corpora.sentences(benchmark_texts, 10)


FOUND: dict[str, dict[str, Any]] = {
    "kill": {
        "documents": 2000, "rows": 900, "seconds_alone": 30.2, "kills": 50, "runs": 20, "identical": 19,
        "parts_when_killed": [0, 3, 9],
    },
    "ways": {"documents": 2000, "rows": 900, "identical": {"Ray with 2 workers": True, "Ray, one killed": False}},
    "broken": {
        "documents": 2000,
        "rows": 900,
        "damages": [{"what": "a full disk", "exit_code": 4, "said": "No space left", "identical": True}],
    },
    "fuzz": {
        "mutated": 10, "seed": 1, "lines": 12, "documents": 3, "blank_lines": 1, "rejects": {"not_json": 8}, "rows": 1,
        "accounted": True,
    },
    "many": {
        "documents": 1000, "rows": 100, "parts": 4, "seconds": 10, "part_bytes": 5000, "read_by": {"duckdb 1": 100},
        "quarters": [{"memory_mb": 700 + n, "files": 20} for n in range(4)],
    },
}  # fmt: skip


def test_the_page_says_what_was_found_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"date": "2026-01-02T03:04:05", "commit": "abc", "machine": MACHINE}
    lines = [{"trial": name, "command": f"python -m trials {name}", **about, **found} for name, found in FOUND.items()]
    outdated = {**lines[0], "identical": 7}
    (tmp_path / RECORDS).write_text("".join(json.dumps(line) + "\n" for line in [outdated, *lines]))
    assert main(["render"], tmp_path) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / PAGE)
    page = (tmp_path / PAGE).read_text()
    for text in (
        "50 times SIGKILL during runs of 2,000 documents", "2 of them came when", "**19 of the 20 runs",
        "| Ray with 2 workers | yes |", "| Ray, one killed | **no** |", "| a full disk | 4 | No space left | yes |",
        "8 rejects (not_json 8)", "Each line accounted for: yes.", "100 documents a second, 50 bytes a row",
        "| most memory, MB | 700 | 701 | 702 | 703 |", "duckdb 1 (100)",
        "a billion such sentences are 2,778 hours of these 2 processors, 231 days of one, and 5 GB of triples",
        "`python -m trials many`, 2026-01-02, commit abc",
    ):  # fmt: skip
        assert text in page, text
    assert " 7 of the" not in page
