"""What --dry-run tells of inputs of every kind, without writing anything."""

from __future__ import annotations

import gzip
import re
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.runner.fakes import RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl
from zsre.relations.lock import FolderLock
from zsre.runner import cli, estimate, job_spec, text_command

#: Every record has two sentences and one triple.
TEXT = "Acme was founded by Ann. Bob and Cy met Dee in Paris, number {}."


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", lambda name, processes: FakeAnnotator(TYPES))
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    return tmp_path


def _records(count: int) -> list[dict[str, object]]:
    return [{"text": TEXT.format(number)} for number in range(10_000, 10_000 + count)]


def _estimate(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, str]:
    before = sorted(Path().rglob("*"))
    assert cli.main([*args, "--relations", "relations.yaml", "--dry-run", "--quiet"]) == 0
    assert sorted(Path().rglob("*")) == before, "nothing is written"
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert last == "nothing was written"
    sampled = re.search(r": estimated from ([\d,]+) documents, read in ", first)
    assert sampled
    found = (re.fullmatch(r"  (\S.*?)  +(\S.*)", line) for line in lines)
    return {"sampled": sampled[1], **{match[1]: match[2] for match in found if match}}


def _number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("form", ["plain", "gzip", "zstd", "parquet", "several", "short"])
def test_an_estimate_comes_close(form: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = _records(40 if form == "short" else 3000)
    corpus = jsonl(records)
    given = ["corpus.jsonl"]
    match form:
        case "gzip":
            corpus = gzip.compress(corpus)
        case "zstd":
            corpus = pa.Codec("zstd").compress(corpus, asbytes=True)
        case "several":
            (place / "more.jsonl").write_bytes(corpus)
            records *= 2
            given.append("more.jsonl")
    (place / "corpus.jsonl").write_bytes(corpus)
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(records), place / "corpus.jsonl", row_group_size=700)
    told = _estimate(capsys, *given)
    expected = len(records)
    for name, each in (("documents", 1), ("sentences", 2), ("triples", 1)):
        assert _number(told[name]) == pytest.approx(each * expected, rel=0.1), name
    assert _number(told["rejected"]) == 0
    assert re.fullmatch(r"\d+ s on CPU", told["time"])
    assert re.fullmatch(r"\d+ k?B", told["triples take"])
    assert "vectors take" not in told


def test_lines_of_all_places_count(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The beginning alone would tell of no rejects; whole bytes tell nothing of lines that differ in length."""
    (place / "corpus.jsonl").write_bytes(jsonl(_records(1000)) + b"{" * 84 + b"\n" + (b"x" * 84 + b"\n") * 999)
    told = _estimate(capsys, "corpus.jsonl")
    assert _number(told["documents"]) == pytest.approx(1000, rel=0.1)
    assert _number(told["rejected"]) == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("form", ["plain", "gzip", "parquet"])
def test_a_folder_of_one_document_a_file_is_looked_at_all_over(
    form: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The longer a document, the more sentences it has, so none tells of the others."""
    (place / "in").mkdir()
    count = 300
    for number in range(count):
        record = {"text": " ".join([TEXT] * (1 + number * 7 % 40))}
        path = place / f"in/{number:03}.jsonl"
        if form == "parquet":
            pq.write_table(pa.Table.from_pylist([record]), path, compression="none")
        else:
            path.write_bytes(gzip.compress(jsonl([record])) if form == "gzip" else jsonl([record]))
    told = _estimate(capsys, "in")
    assert 200 <= _number(told["sampled"]) <= 260
    assert _number(told["documents"]) == pytest.approx(count, rel=0.1)
    assert _number(told["sentences"]) == pytest.approx(sum(2 * (1 + n * 7 % 40) for n in range(count)), rel=0.1)


def test_files_without_a_line_are_passed_over(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "in").mkdir()
    (place / "in/a.jsonl.gz").write_bytes(gzip.compress(b""))
    (place / "in/b.jsonl").write_bytes(jsonl(_records(1)))
    assert _number(_estimate(capsys, "in")["documents"]) == 1
    for number in range(20):
        (place / f"in/a{number}.jsonl").touch()
        (place / f"in/a{number}.jsonl.gz").write_bytes(gzip.compress(b""))
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), place / f"in/a{number}.parquet")
    assert _number(_estimate(capsys, "in")["documents"]) == pytest.approx(1, abs=1)


def test_an_input_that_has_lost_its_lines_is_empty(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(text_command, "_first_shards", lambda plan, anew: None)
    (place / "corpus.jsonl.gz").write_bytes(gzip.compress(b""))
    assert cli.main(["corpus.jsonl.gz", "--relations", "relations.yaml", "--dry-run"]) == 3
    assert "corpus.jsonl.gz: holds no records, so there is nothing to extract from" in capsys.readouterr().err


def test_a_compressed_file_behind_lines_enough_for_a_place_is_looked_at(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "a.jsonl").write_bytes(jsonl(_records(40)))
    (place / "b.jsonl.gz").write_bytes(gzip.compress(b"".join(b"%d\n" % (n * n) for n in range(30_000))))
    told = _estimate(capsys, "a.jsonl", "b.jsonl.gz")
    assert _number(told["sampled"]) == estimate.SPOT_LINES
    assert _number(told["rejected"]) > 1000


def test_a_limit_limits_the_estimate(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "corpus.jsonl").write_bytes(jsonl(_records(3000)))
    assert _number(_estimate(capsys, "corpus.jsonl", "--limit", "500")["documents"]) == 500


def test_vectors_that_would_be_kept_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "corpus.jsonl").write_bytes(jsonl(_records(1000)))
    mentions, width, sizes = 6 * 1000, 8, {"kB": 1e3, "MB": 1e6}
    for flags, kept, bytes_each in (
        ((), "pairs", 2 * width),
        (("--save-precision", "int8"), "pairs", width + 4),
        (("--save-fitting",), "scored pairs", 2 * width),
    ):
        told = _estimate(capsys, "corpus.jsonl", "--save-pairs", "vectors", *flags)
        number, unit = told["vectors take"].split()
        expected = bytes_each * (mentions + _number(told[kept]))
        assert float(number) * sizes[unit] == pytest.approx(expected, rel=0.1), flags


def test_what_the_output_holds_is_in_no_estimates_way(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "corpus.jsonl").write_bytes(jsonl(_records(100)))
    flags = ("corpus.jsonl", "--save-pairs", "vectors")
    assert cli.main([*flags, "--relations", "relations.yaml", "--quiet"]) == 0
    for more in ((), ("--append",), ("--overwrite",), ("-o", "vectors.triples")):
        assert _number(_estimate(capsys, *flags, *more)["documents"]) == 100
    with closing(FolderLock(place / "corpus.triples")):
        assert _number(_estimate(capsys, *flags)["documents"]) == 100


@pytest.mark.parametrize(
    ("corpus", "given", "code", "message"),
    [
        (b"", "corpus.jsonl", 3, "corpus.jsonl: holds no records, so there is nothing to extract from"),
        (b"{}", "-", 2, "--dry-run: reads here and there, which a stream does not allow; give it a file"),
    ],
)
def test_what_cannot_be_estimated_is_told(
    corpus: bytes, given: str, code: int, message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "corpus.jsonl").write_bytes(corpus)
    assert cli.main([given, "--relations", "relations.yaml", "--dry-run"]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "told"), [(3.2, "3 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h"), (864_000, "10.0 days")]
)
def test_durations_are_told_in_a_fitting_unit(seconds: float, told: str) -> None:
    assert estimate._duration(seconds) == told


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 B"), (999, "999 B"), (25_000, "25 kB"), (3e9, "3 GB"), (2.5e12, "2.5 TB")]
)
def test_sizes_are_told_in_a_fitting_unit(number: float, told: str) -> None:
    assert estimate._bytes(number) == told


@pytest.mark.parametrize(("exact", "told"), [(0, 0), (7.4, 7), (84, 84), (123, 120), (98_765, 99_000)])
def test_an_estimate_claims_two_digits(exact: float, told: int) -> None:
    assert estimate._rounded(exact) == told
