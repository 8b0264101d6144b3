"""A corpus of several parts, runs over it that stop, and what makes two runs the same."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl
from zsre.runner import cli, job_spec, kept_command

TEXTS = [
    "Ann founded Acme.  Ann married Bob.",
    "Cy was born in Paris. Acme was founded by Dee.",
    "nothing here",
    "Max married Zoe. Globex was founded by Max.",
]
CORPUS = jsonl([{"text": f"{text} Number {n}."} for n, text in enumerate(TEXTS * 6)]) + b"{\n\n[]\n"
FLAGS = ("--relations", "relations.yaml", "--quiet")
OF_A_TEXT = ("--shard-lines", "5")


class Stopping(FakeEngine):
    """Stops after some sentences, as by Ctrl-C or for want of memory."""

    def __init__(self, after: int, error: BaseException) -> None:
        super().__init__()
        self.after, self.error = after, error

    def encode(self, sentences):  # type: ignore[no-untyped-def]
        if sum(self.batches) >= self.after:
            raise self.error
        return super().encode(sentences)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    use_engine(monkeypatch, FakeEngine())
    monkeypatch.setattr(kept_command, "load_relation_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", lambda name, processes: FakeAnnotator(TYPES))
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(CORPUS)
    return tmp_path


def use_engine(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> None:
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: engine)


def run_command(*args: str) -> int:
    given = args if args and (args[0] == "-" or not args[0].startswith("-")) else ("corpus.jsonl", *args)
    return cli.main([*given, *FLAGS, *(OF_A_TEXT if given[0] != "vectors" else ())])


def stop_run(monkeypatch: pytest.MonkeyPatch, *args: str, after: int = 9) -> None:
    use_engine(monkeypatch, Stopping(after, KeyboardInterrupt()))
    assert run_command(*args) == 130
    use_engine(monkeypatch, FakeEngine())


def table_of(directory: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(part) for part in sorted(Path(directory).glob("part-*.parquet")))


def facts_of(directory: str) -> dict[str, object]:
    facts: dict[str, object] = json.loads(Path(directory, "run.json").read_text())
    return facts


def assert_same(one: str, other: str) -> None:
    """Same rows in the same parts, same counts, same rejects."""
    assert [path.name for path in sorted(Path(one).glob("part-*"))] == [
        path.name for path in sorted(Path(other).glob("part-*"))
    ]
    assert table_of(one).equals(table_of(other)) and table_of(one).num_rows > 10
    assert facts_of(one)["counts"] == facts_of(other)["counts"]
    assert Path(one, "rejects.jsonl").read_bytes() == Path(other, "rejects.jsonl").read_bytes()
    assert facts_of(one)["status"] == "finished"


def told_error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("zsre-extract: error: ").strip()
