"""A long field passed through: it takes memory once, however many rows hold it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import FakeEngine, contract, held_shard, jsonl, make_job, new_run
from zsre.runner import batch
from zsre.runner.corpus import Place
from zsre.runner.kept import kept_facts, open_kept
from zsre.runner.kept_job import KeptJob, kept_results
from zsre.runner.records import RecordSettings
from zsre.runner.rules import make_rules
from zsre.runner.stages import process_shard

#: Together more than 2 GiB, which is as much as an Arrow array of strings can hold.
SENTENCES, FIELD_BYTES = 450, 5_000_000
PLACE = Place(0, 1, 1, 1, 0, 1)


def extract_and_decide_again(path: Path, field_bytes: int, count: int = SENTENCES) -> None:
    """Keep a field of that many bytes and the vectors of a document, and decide on these once more."""
    job = make_job(records=RecordSettings(keep=("body", "url")))
    body = "".join(f"{number:09} " for number in range(field_bytes // 10))
    (line,) = jsonl([{"text": "Acme was founded by Ann. " * count, "body": body}]).splitlines()
    facts = kept_facts(job, "corpus.jsonl", "float16")
    with open_kept(path / "vectors", facts, overwrite=True) as vectors:
        vectors.begin(())
        new_run(path / "text").commit(process_shard(held_shard([line]), job, sink=vectors), PLACE)
    rules = make_rules(job.relations, contract(), None, max_relations=3)
    (again,) = kept_results(path / "vectors", KeptJob(facts, FakeEngine(), job.relations, rules), [0], threads=1)
    new_run(path / "kept").commit(again, PLACE)


MEASURED = """
import json, resource, sys
from pathlib import Path
from tests.runner.test_long_fields import FIELD_BYTES, extract_and_decide_again
extract_and_decide_again(Path("short"), 10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
extract_and_decide_again(Path("long"), FIELD_BYTES)
print(json.dumps([before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs to know the most memory that a process took")
def test_a_long_field_takes_memory_and_space_once_however_many_triples_there_are(tmp_path: Path) -> None:
    code = f"import os, sys; sys.path[0] = os.getcwd(); os.chdir({str(tmp_path)!r})\n{MEASURED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = (number * (1 if sys.platform == "darwin" else 1024) for number in json.loads(done.stdout))
    assert after - before < 40 * FIELD_BYTES, "copies on the way, but none for each of 450 triples and 900 mentions"
    for path in ("text/part-00000", "kept/part-00000", "vectors/mentions-00000"):
        short, long = (tmp_path / length / f"{path}.parquet" for length in ("short", "long"))
        assert long.stat().st_size < short.stat().st_size + FIELD_BYTES
        name = "kept_body" if "mentions" in path else "body"
        assert pq.read_schema(long).field(name).type == pa.string()
        texts = pq.ParquetDataset([long], read_dictionary=[name]).read([name])[name].unify_dictionaries()
        assert len(texts) >= SENTENCES and [len(text) for text in texts.chunk(0).dictionary.to_pylist()] == [
            FIELD_BYTES
        ]


@pytest.mark.parametrize("sentences", [1, 7, 1000])
def test_a_field_is_the_same_in_every_row_whatever_the_windows(
    sentences: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "BATCH_SENTENCES", sentences)
    extract_and_decide_again(tmp_path, 1000, count=20)
    text, kept = (pq.read_table(tmp_path / name / "part-00000.parquet") for name in ("text", "kept"))
    assert text.num_rows == 20 and kept.equals(text)
    assert set(text["body"].to_pylist()) == {"".join(f"{number:09} " for number in range(100))}
    assert text["url"].null_count == 20
