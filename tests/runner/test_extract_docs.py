"""docs/extract.md says what the command does, and nothing that it doesn't."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from tests.runner.fakes import jsonl, make_job
from zsre.relations import errors
from zsre.runner import cli
from zsre.runner.corpus import SHARD_BYTES, open_corpus
from zsre.runner.counts import Counts
from zsre.runner.entities import PIECE_CHARS
from zsre.runner.extract import extract
from zsre.runner.output import open_output
from zsre.runner.records import REJECT_TEXT_CHARS, Reason
from zsre.runner.triples import COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "extract.md").read_text("utf-8")


def _section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def _first_cells(text: str) -> set[str]:
    rows = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^` ]+)[^`]*`", row)}


def test_every_flag_is_described() -> None:
    flags = {option for action in cli.build_parser()._actions for option in action.option_strings}
    assert _first_cells(_section("Flags")) == (flags | {"corpus"}) - {"-h", "--help"}


def test_defaults_are_those_of_the_command() -> None:
    args = cli.build_parser().parse_args(["corpus"])
    for flag in ("max_line_bytes", "max_text_chars", "shard_lines", "max_mentions", "max_relations", "processes"):
        row = re.search(rf"^\| `--{flag.replace('_', '-')} N` \| (\d+) \|", PAGE, re.MULTILINE)
        assert row is not None and int(row[1]) == getattr(args, flag), flag
    assert f"{SHARD_BYTES // 2**20} MiB" in PAGE
    assert f"{PIECE_CHARS:,} characters" in PAGE
    assert f"first {REJECT_TEXT_CHARS}" in PAGE


def test_every_column_is_described_in_order() -> None:
    rows = re.findall(r"^\| (`.+?) \|", _section("Output"), re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(COLUMNS)


def test_every_reason_for_a_reject_is_described() -> None:
    assert _first_cells(_section("Rejects")) == {reason.value for reason in Reason}


def test_every_exit_code_is_described() -> None:
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", _section("Exit codes"), re.MULTILINE)}
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type)}
    assert described == raised | {0, 1, cli.INTERRUPTED}


def test_the_output_is_read_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpus.jsonl").write_bytes(jsonl([{"text": "Ann married Bob."}]))
    output = open_output(Path("corpus.triples"), overwrite=False)
    corpus = open_corpus("corpus.jsonl")
    extract(corpus.shards(cli.CutSettings()), make_job(), output, lambda size, documents: None, Counts())
    output.write_run({"zsre": "1", "status": "finished"})
    (snippet,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(snippet, names)
    triples, facts = names["triples"], names["facts"]
    assert isinstance(triples, pa.Table) and triples.num_rows == 1
    assert isinstance(facts, dict) and facts["schema"] == 1
