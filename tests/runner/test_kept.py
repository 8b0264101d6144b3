"""Kept vectors: what comes from them is what comes from the text, or they are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RELATIONS_YAML, FakeEngine, jsonl
from zsre.runner import batch, cli, job_spec, kept_command
from zsre.runner.engine import load_engine, load_relation_engine
from zsre.runner.entities import load_annotator
from zsre.runner.kept import COUNTS_KEY, mentions_path, pairs_path
from zsre.runner.kept_tables import KeptWindow, pairs_schema

cached_annotator = cache(load_annotator)
TEXTS = [
    "Microsoft was founded by Bill Gates. Ann Lee married Bob Day in Paris. Microsoft was led by Paul Allen, too.",
    "Bill Gates married Melinda French in Hawaii.\n\nNothing here. Ann Lee was born in Paris, in France.",
    "Bill Gates founded Microsoft with Paul Allen; Paul Allen led Microsoft, and Bill Gates led Microsoft.",
]
RECORDS = [{"id": f"d{number % 5}", "text": TEXTS[number % 3], "url": f"u{number}"} for number in range(20)]
OTHER_YAML = RELATIONS_YAML.replace("threshold: 0.5\n", "") + (
    "  - {id: P6, name: leader, description: who led this, head: {types: [ORG]}, tail: {types: [PERSON]}}\n"
    "  - {id: P19, name: born, description: where this person was born}\n"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(kept_command, "load_relation_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    Path("relations.yaml").write_text(RELATIONS_YAML)
    Path("other.yaml").write_text(OTHER_YAML)
    Path("corpus.jsonl").write_bytes(jsonl(RECORDS))
    return tmp_path


def _run(corpus: str, relations: str, output: str, *args: str) -> int:
    return cli.main([corpus, "--relations", relations, "-o", output, "--quiet", *args])


def _keep(*args: str) -> None:
    assert _run("corpus.jsonl", "relations.yaml", "first", "--save-pairs", "vectors", *args) == 0


def _table(directory: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(part) for part in sorted(Path(directory).glob("part-*.parquet")))


def _counts(directory: str) -> dict[str, object]:
    counts: dict[str, object] = json.loads(Path(directory, "run.json").read_text())["counts"]
    return counts


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("zsre-extract: error: ").strip()


@pytest.mark.parametrize("sentences", [2, 1000])
@pytest.mark.parametrize("shard_lines", ["3", "5000"])
def test_other_relations_over_kept_vectors_give_the_rows_of_a_run_from_the_text(
    sentences: int, shard_lines: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "BATCH_SENTENCES", sentences)
    flags = ("--keep", "url", "--shard-lines", shard_lines)
    _keep(*flags)
    assert _run("vectors", "other.yaml", "kept", "--threshold", "0.05") == 0
    assert _run("corpus.jsonl", "other.yaml", "fresh", "--threshold", "0.05", *flags) == 0
    fresh = _table("fresh")
    assert len(fresh) > 20 and len(set(fresh["relation"].to_pylist())) == 4
    assert _table("kept").equals(fresh)
    assert [path.name for path in sorted(Path("kept").iterdir())] == [
        path.name for path in sorted(Path("fresh").iterdir())
    ]
    assert _counts("kept") == _counts("fresh")


def test_of_kept_vectors_rejects_are_told_by_the_run_that_saved_them(capsys: pytest.CaptureFixture[str]) -> None:
    Path("corpus.jsonl").write_bytes(jsonl(RECORDS) + b"{\n")
    _keep()
    where = "see the rejects.jsonl of the run that saved the vectors"
    assert _run("vectors", "other.yaml", "second", "--max-reject-rate", "0") == 6
    assert where in _error(capsys)
    assert cli.main(["vectors", "--relations", "other.yaml", "-o", "third"]) == 0
    assert where in capsys.readouterr().err


def test_keeping_vectors_changes_nothing_in_the_triples() -> None:
    _keep()
    assert _run("corpus.jsonl", "relations.yaml", "plain") == 0
    assert _table("first").equals(_table("plain"))
    assert _counts("first") == _counts("plain")


def test_the_real_model_gives_the_same_bits_from_vectors_and_from_text(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_spec, "load_engine", load_engine)
    monkeypatch.setattr(kept_command, "load_relation_engine", load_relation_engine)
    model = ("--model", str(tiny_model), "--threshold", "0")
    _keep(*model)
    assert _run("vectors", "other.yaml", "kept", *model) == 0
    assert _run("corpus.jsonl", "other.yaml", "fresh", *model, "--shard-lines", "7") == 0
    assert len(_table("fresh")) > 20
    assert _table("kept").to_pylist() == _table("fresh").to_pylist()


def test_what_is_kept_can_be_read_by_anything_that_reads_parquet() -> None:
    _keep("--keep", "url")
    mentions, pairs = (pq.read_table(path(Path("vectors"), 0)) for path in (mentions_path, pairs_path))
    assert mentions.schema.field("vector").type == pa.list_(pa.field("element", pa.float16(), nullable=False), 8)
    for row in mentions.slice(0, 5).to_pylist():
        assert row["sentence"][row["start"] - row["sent_start"] : row["end"] - row["sent_start"]].strip()
        assert row["kept_url"].startswith("u")
    assert pairs["head"].to_numpy().max() < len(mentions)
    assert (pairs["head"].to_numpy() != pairs["tail"].to_numpy()).all()
    facts = json.loads(Path("vectors/vectors.json").read_text())
    assert (facts["fingerprint"], facts["corpus"], facts["shards"]) == ("f" * 32, "corpus.jsonl", 1)


def test_fields_passed_through_are_read_however_they_were_written() -> None:
    _keep("--keep", "url")
    path = mentions_path(Path("vectors"), 0)
    pq.write_table(pq.read_table(path), path, use_dictionary=False)
    assert _run("vectors", "relations.yaml", "kept") == 0
    assert len(set(_table("first")["url"].to_pylist())) > 3
    assert _table("kept").equals(_table("first"))


def test_eight_bits_lose_little() -> None:
    _keep("--save-precision", "int8")
    assert _run("vectors", "relations.yaml", "kept") == 0
    kept, fresh = _table("kept"), _table("first")
    assert kept["triple_id"].equals(fresh["triple_id"])
    assert np.abs(kept["similarity"].to_numpy() - fresh["similarity"].to_numpy()).max() < 0.005
    schema = pq.read_schema(pairs_path(Path("vectors"), 0))
    assert schema.field("vector").type == pa.binary(8)


def test_a_slice_of_kept_bytes_is_read_from_where_it_begins() -> None:
    schema = pairs_schema(3, "int8")
    whole = np.arange(1, 13, dtype=np.int8)
    vectors = pa.FixedSizeBinaryArray.from_buffers(pa.binary(3), 4, [None, pa.py_buffer(whole.tobytes())])
    ends = pa.array([0, 0, 0, 0])
    table = pa.table([ends, ends, vectors, pa.array(np.float32([1, 1, 1, 0.5]))], schema=schema)
    mentions = pa.table({"vector": pa.array([b"abc"], pa.binary(3)), "scale": pa.array([1.0], pa.float32())})
    window = KeptWindow(mentions, table.slice(2), 0)
    assert window.vectors.contexts.tolist() == [[7, 8, 9], [5, 5.5, 6]]


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_all_that_is_kept_is_compressed_but_the_vectors(precision: str) -> None:
    _keep("--save-precision", precision)
    group = pq.read_metadata(pairs_path(Path("vectors"), 0)).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {own.compression for own in columns if own.path_in_schema.startswith("vector")} == {"UNCOMPRESSED"}
    assert {own.compression for own in columns if not own.path_in_schema.startswith("vector")} == {"ZSTD"}


def test_pairs_that_fit_are_enough_for_relations_of_their_types_alone(capsys: pytest.CaptureFixture[str]) -> None:
    _keep("--save-fitting")
    assert _run("vectors", "relations.yaml", "kept") == 0
    assert _table("kept").equals(_table("first"))
    capsys.readouterr()
    assert _run("vectors", "other.yaml", "other") == 2
    assert _error(capsys).startswith(
        "vectors: holds only pairs whose types the relations of its run allow, and 'born' also needs "
    )
    assert not Path("other").exists()
    whole = pq.read_metadata(pairs_path(Path("vectors"), 0)).num_rows
    _keep("--overwrite")
    assert pq.read_metadata(pairs_path(Path("vectors"), 0)).num_rows > whole


@pytest.mark.parametrize("kept_by_all", [False, True])
def test_vectors_stay_good_when_only_the_relation_side_of_a_model_changes(
    monkeypatch: pytest.MonkeyPatch, kept_by_all: bool
) -> None:
    before, after = FakeEngine(), FakeEngine()
    before.contract = replace(before.contract, fingerprint="1" * 32, vectors="" if kept_by_all else "3" * 32)
    after.contract = replace(before.contract, fingerprint=("1" if kept_by_all else "2") * 32, vectors="3" * 32)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: before)
    monkeypatch.setattr(kept_command, "load_relation_engine", lambda model, device, threads: after)
    _keep()
    assert _run("vectors", "relations.yaml", "kept") == 0
    assert _table("kept").equals(_table("first"))


def test_vectors_of_another_model_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _keep()
    other = FakeEngine()
    other.contract = replace(other.contract, fingerprint="0" * 32, name="other")
    monkeypatch.setattr(kept_command, "load_relation_engine", lambda model, device, threads: other)
    assert _run("vectors", "relations.yaml", "kept") == 2
    assert _error(capsys) == (
        f"vectors: vectors of the model '{'f' * 32}' (fake), and those of this are '{'0' * 32}' (other): "
        "give that model with --model, or save them again"
    )


def test_vectors_of_a_run_that_did_not_finish_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaking(FakeEngine):
        def encode(self, sentences):  # type: ignore[no-untyped-def]
            if self.batches:
                raise KeyboardInterrupt
            return super().encode(sentences)

    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: Breaking())
    args = ("--save-pairs", "vectors", "--shard-lines", "3")
    assert _run("corpus.jsonl", "relations.yaml", "first", *args) == 130
    assert not list(Path("vectors").glob(".*.tmp"))
    capsys.readouterr()
    assert _run("vectors", "relations.yaml", "kept") == 2
    assert (
        _error(capsys) == "vectors: the run that saved these vectors did not finish; go on with it, or save them again"
    )


@pytest.mark.parametrize("name", ["mentions-00000.parquet", "pairs-00000.parquet", "vectors.json"])
def test_damaged_vectors_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    _keep()
    path = Path("vectors", name)
    path.write_bytes(path.read_bytes()[:-20])
    capsys.readouterr()
    assert _run("vectors", "relations.yaml", "kept") == 2
    assert "cannot be read" in (error := _error(capsys)) and error.endswith("again")


@pytest.mark.parametrize("counts", ["[]", "null", "{}", '{"rejects": {}, "lines": "many"}'])
def test_vectors_with_counts_that_are_none_are_refused(counts: str, capsys: pytest.CaptureFixture[str]) -> None:
    _keep()
    path = pairs_path(Path("vectors"), 0)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({COUNTS_KEY: counts}), path)
    capsys.readouterr()
    assert _run("vectors", "relations.yaml", "kept") == 2
    assert _error(capsys).startswith("vectors/pairs-00000.parquet: cannot be read (")


def test_flags_for_reading_a_corpus_are_refused_for_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    _keep()
    capsys.readouterr()
    texts = ("--keep", "--spacy-model", "--id-field", "--save-pairs", "--text-field")
    numbers = ("--max-mentions", "--processes", "--shard-lines", "--max-line-bytes", "--max-text-chars", "--limit")
    given = [(flag, "x") for flag in texts] + [(flag, "7") for flag in numbers]
    for flag, *value in (*given, ("--save-fitting",), ("--save-precision", "int8"), ("--on-error", "fail")):
        assert _run("vectors", "relations.yaml", "kept", flag, *value) == 2
        assert _error(capsys) == f"{flag}: is for reading a corpus, and vectors holds vectors"


def test_types_that_nothing_has_are_refused_for_vectors_as_for_a_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("typo.yaml").write_text("relations:\n  - {name: born, description: born in, head: [PERSN]}\n", "utf-8")
    _keep()
    monkeypatch.setattr(kept_command, "is_default", lambda pipeline: True)
    capsys.readouterr()
    assert _run("vectors", "typo.yaml", "kept") == 2
    assert "PERSN" in (error := _error(capsys)) and "did you mean" in error
    assert not Path("kept").exists()


@pytest.mark.usefixtures("locked")
def test_places_that_may_not_be_looked_into_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("locked/corpus.jsonl", "relations.yaml", "out") == 2
    assert "locked/corpus.jsonl: Permission denied" in _error(capsys)
    assert _run("corpus.jsonl", "relations.yaml", "out", "--save-pairs", "locked/vectors") == 4
    assert "locked/vectors: cannot be read: Permission denied; check the path" in _error(capsys)


def test_where_vectors_may_not_go(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    Path("folder").mkdir()
    Path("folder/mine").touch()
    for target, told in (("file", "is not a directory"), ("folder", "holds files but no vectors of zsre")):
        assert _run("corpus.jsonl", "relations.yaml", "out", "--save-pairs", target) == 4
        assert told in _error(capsys)
    assert _run("corpus.jsonl", "relations.yaml", "out", "--save-pairs", "out") == 2
    assert "is where the triples go" in _error(capsys)
    assert _run("corpus.jsonl", "relations.yaml", "out", "--save-fitting") == 2
    assert "name a directory, --save-pairs" in _error(capsys)
    _keep()
    capsys.readouterr()
    assert _run("corpus.jsonl", "relations.yaml", "out", "--save-pairs", "vectors") == 4
    assert "holds vectors" in _error(capsys)
    assert not Path("out").exists()


def test_vectors_beside_another_input_are_what_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    _keep()
    assert cli.main(["s3://KEY:SECRET@bucket/a.jsonl", "vectors", "--relations", "relations.yaml", "-o", "out"]) == 2
    assert "error: vectors: holds vectors, and those cannot be read together" in capsys.readouterr().err
