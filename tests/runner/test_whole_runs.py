"""The whole way with the model that ships, without stand-ins."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RECORDS, RELATIONS_YAML, jsonl
from zsre.runner import cli


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(jsonl(RECORDS))
    return tmp_path


def _rows(directory: str) -> list[dict[str, object]]:
    parts = sorted(Path(directory).glob("part-*.parquet"))
    rows: list[dict[str, object]] = pa.concat_tables(map(pq.read_table, parts)).to_pylist()
    return rows


def test_plain_text_becomes_triples_without_torch(place: Path) -> None:
    code = (
        "import sys; from zsre.runner.cli import main; "
        "code = main(['corpus.jsonl', '--relations', 'relations.yaml', '--threshold', '0', '--device', 'cpu']); "
        "assert not any(name.split('.')[0] in ('torch', 'transformers') for name in sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    texts = {str(record["id"]): str(record["text"]) for record in RECORDS}
    rows = pq.read_table(place / "corpus.triples" / "part-00000.parquet").to_pylist()
    assert rows
    for row in rows:
        text = texts[row["doc_id"]]
        assert text[row["head_start"] : row["head_end"]] == row["head"]
        assert text[row["tail_start"] : row["tail_end"]] == row["tail"]
        assert text[row["sent_start"] : row["sent_end"]] == row["sentence"]
        parts = row["similarity_head"] + row["similarity_tail"] + row["similarity_context"]
        assert round(parts, 4) == row["similarity"]


def test_the_form_of_a_corpus_and_its_shards_change_nothing(place: Path) -> None:
    content = jsonl(RECORDS * 3)
    (place / "a").write_bytes(content)
    (place / "b").write_bytes(gzip.compress(content.replace(b"\n", b"\r\n")))
    flags = ("--relations", "relations.yaml", "--quiet", "--threshold", "0", "--device", "cpu")
    assert cli.main(["a", *flags]) == 0
    assert cli.main(["b", *flags, "--shard-lines", "2"]) == 0
    assert len(_rows("a.triples")) > 3
    assert _rows("a.triples") == _rows("b.triples")


@pytest.mark.skipif(os.name == "nt", reason="sends the signal as a POSIX terminal does")
def test_ctrl_c_ends_all_processes_and_says_how_to_go_on(place: Path) -> None:
    (place / "corpus.jsonl").write_bytes(jsonl(RECORDS * 5000))
    command_line = [sys.executable, "-m", "zsre.runner.cli", "corpus.jsonl", "--relations", "relations.yaml"]
    flags = ["--processes", "2", "--shard-lines", "50", "--device", "cpu"]
    run = subprocess.Popen([*command_line, *flags], stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 60
    while not list(place.glob("corpus.triples/part-*")) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    # It reads to the end of what all processes can write to, and so until the last of them is gone.
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    (line,) = errors.splitlines()
    assert line.startswith("zsre-extract: interrupted after ") and line.endswith("--overwrite starts anew")
    assert json.loads((place / "corpus.triples" / "run.json").read_text())["status"] == "stopped"
