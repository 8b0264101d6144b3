"""docs/extract.md says what the command does, and nothing that it doesn't."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from tests.runner.fakes import jsonl, make_job, new_run
from tests.runner.pages import first_cells, read_page, section
from zsre.relations import errors
from zsre.runner import cli, entry
from zsre.runner.corpus import SHARD_BYTES, CutSettings, cut
from zsre.runner.counts import Counts
from zsre.runner.entities import PIECE_CHARS
from zsre.runner.extract import extract
from zsre.runner.inputs import find_segments
from zsre.runner.records import REJECT_TEXT_CHARS, Reason
from zsre.runner.triples import COLUMNS

PAGE = read_page("extract.md")


def test_every_flag_is_described() -> None:
    flags = {option for action in cli.build_parser()._actions for option in action.option_strings}
    assert first_cells(section(PAGE, "Flags")) == (flags | {"corpus"}) - {"-h", "--help"}


def test_defaults_are_those_of_the_command() -> None:
    args = cli.build_parser().parse_args(["corpus"])
    for flag in ("max_line_bytes", "max_text_chars", "shard_lines", "max_mentions", "max_relations", "processes"):
        row = re.search(rf"^\| `--{flag.replace('_', '-')} N` \| (\d+) \|", PAGE, re.MULTILINE)
        assert row is not None and int(row[1]) == getattr(args, flag), flag
    assert f"{SHARD_BYTES // 2**20} MiB" in PAGE
    assert f"{PIECE_CHARS:,} characters" in PAGE
    assert f"first {REJECT_TEXT_CHARS}" in PAGE


def test_every_column_is_described_in_order() -> None:
    rows = re.findall(r"^\| (`.+?) \|", section(PAGE, "Output"), re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(COLUMNS)


def test_every_reason_for_a_reject_is_described() -> None:
    assert first_cells(section(PAGE, "Rejects")) == {reason.value for reason in Reason}


def test_every_exit_code_is_described() -> None:
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", section(PAGE, "Exit codes"), re.MULTILINE)}
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert described == raised | {0, 1, entry.INTERRUPTED}


def test_every_count_is_described() -> None:
    assert set(Counts().to_dict()) <= first_cells(section(PAGE, "Counts"))


def test_the_output_is_read_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpus.jsonl").write_bytes(jsonl([{"text": "Ann married Bob."}]))
    run = new_run(Path("corpus.triples"))
    extract(cut(find_segments(["corpus.jsonl"]), CutSettings()), make_job(), run, lambda size, documents: None)
    run.output.write_rejects(run.done)
    run.output.write_run({"zsre": "1", "status": "finished"})
    at_once, in_batches = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(at_once + in_batches, names)
    triples, facts = names["triples"], names["facts"]
    assert isinstance(triples, pa.Table) and triples.num_rows == 1
    assert isinstance(facts, dict) and facts["schema"] == 1
    assert capsys.readouterr().out == "1\n"
