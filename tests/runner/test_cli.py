from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import spacy

from tests.runner.fakes import CALIBRATION, RECORDS, RELATIONS_YAML, FakeEngine, jsonl
from zsre.relations.errors import ModelError
from zsre.relations.lock import FolderLock
from zsre.runner import cli, job_spec, kept_command
from zsre.runner.corpus import CutSettings
from zsre.runner.entities import load_annotator
from zsre.runner.records import RecordSettings
from zsre.runner.storage import LocalFolder

cached_annotator = cache(load_annotator)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    monkeypatch.setattr(job_spec, "load_annotator", cached_annotator)
    (tmp_path / "relations.yaml").write_text(RELATIONS_YAML)
    (tmp_path / "corpus.jsonl").write_bytes(jsonl(RECORDS))
    return tmp_path


def _run(*args: str) -> int:
    return cli.main(["corpus.jsonl", "--relations", "relations.yaml", *args])


def _rows(directory: str = "corpus.triples") -> list[dict[str, object]]:
    parts = sorted(Path(directory).glob("part-*.parquet"))
    rows: list[dict[str, object]] = pa.concat_tables(map(pq.read_table, parts)).to_pylist()
    return rows


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("zsre-extract: error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("zsre-extract: error: ")


def test_a_corpus_becomes_a_directory_of_triples(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--keep", "url", "--show", "5") == 0
    rows = _rows()
    assert [(row["head"], row["relation"], row["tail"], row["url"]) for row in rows] == [
        ("Acme", "founded by", "Ann", "u"),
        ("Bill Gates", "spouse", "Melinda French", None),
    ]
    shown = capsys.readouterr()
    assert "Melinda" in shown.out and "founded by" in shown.out
    assert "2 triples (2 distinct facts) from 2 documents" in shown.err
    assert "fake on CPU" in shown.err
    run = json.loads(Path("corpus.triples/run.json").read_text())
    assert (run["status"], run["counts"]["documents"], run["counts"]["triples"]) == ("finished", 2, 2)
    assert (run["corpus"], run["relations_source"], run["device"]) == ("corpus.jsonl", "relations.yaml", "CPU")
    assert (run["model"]["fingerprint"], run["thresholds"]["P112"]) == ("f" * 32, CALIBRATION.threshold)


def test_file_gzip_windows_and_standard_input_give_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = jsonl(RECORDS * 3)
    forms = {"a": content, "b": gzip.compress(content), "c": content.replace(b"\n", b"\r\n")}
    for name, data in forms.items():
        (place / name).write_bytes(data)
        assert cli.main([name, "--relations", "relations.yaml", "--quiet"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))  # type: ignore[arg-type]
    assert cli.main(["-", "--relations", "relations.yaml", "--quiet"]) == 0
    assert len(_rows("a.triples")) == 6
    assert _rows("a.triples") == _rows("b.triples") == _rows("c.triples") == _rows("stdin.triples")
    assert capsys.readouterr().err == ""


def test_bad_lines_are_listed_and_do_not_stop_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [b"{", b'{"body": "x"}', b'{"text": 5}', b'{"text": ""}', b'{"text": "\\ud800"}', b"x" * 5_000_000]
    (place / "corpus.jsonl").write_bytes(b"\n".join(bad) + b"\n" + jsonl(RECORDS))
    assert _run() == 0
    assert "6  of 8 lines rejected: empty_text 1, line_too_long 1, lone_surrogate 1" in capsys.readouterr().err
    rejects = [json.loads(line) for line in Path("corpus.triples/rejects.jsonl").read_text().splitlines()]
    assert [(reject["line"], reject["reason"]) for reject in rejects] == [
        (1, "not_json"),
        (2, "missing_text"),
        (3, "text_not_a_string"),
        (4, "empty_text"),
        (5, "lone_surrogate"),
        (6, "line_too_long"),
    ]
    assert all(set(reject) == {"file", "line", "reason", "detail", "text"} for reject in rejects)
    assert len(_rows()) == 2


def test_limit_and_threshold_and_fields(place: Path) -> None:
    (place / "corpus.jsonl").write_bytes(
        jsonl([{"key": number, "body": record["text"]} for number, record in enumerate(RECORDS * 2)])
    )
    flags = ("--text-field", "body", "--id-field", "key", "--shard-lines", "1", "--quiet")
    assert _run(*flags, "--limit", "2") == 0
    assert [row["doc_id"] for row in _rows()] == ["1"]
    assert _run(*flags, "--limit", "2", "--threshold", "0.9", "--overwrite") == 0
    assert _rows() == []
    assert len(list(Path("corpus.triples").glob("part-*"))) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--threshold", "1.5"], "--threshold 1.5: must lie between 0 and 1"),
        (["--threshold", "nan"], "--threshold nan: must lie between 0 and 1"),
        (["--max-relations", "0"], "--max-relations 0: must be at least 1"),
        (["--max-mentions", "1"], "--max-mentions 1: must be at least 2"),
        (["--limit", "0"], "--limit 0: must be at least 1"),
        (["--show", "-1"], "--show -1: must be at least 0"),
        (["--keep", "url,score"], "--keep score: the output has a column of that name"),
        (["--keep", "url,"], "--keep url,: a field without a name"),
        (["--spacy-model", "en_nope"], "spaCy pipeline 'en_nope' is not installed: python -m spacy download en_nope"),
        (["--relations", "nope.yaml"], "nope.yaml"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
        (["--thresh", "0.5"], "unrecognized arguments: --thresh"),
        (["-o", ""], "-o: the directory has no name"),
    ],
)
def test_a_flag_that_cannot_be_meant_stops_before_anything_is_written(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*flags) == 2
    assert message in _error(capsys)
    assert not Path("corpus.triples").exists()


@pytest.mark.parametrize("asked", [["--log-format", "json"], ["--log-format=json"]])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the following arguments are required: corpus"),
        (["corpus.jsonl", "--threads", "many"], "argument --threads: invalid int value: 'many'"),
        (["corpus.jsonl", "--device", "\x1b[31m"], "argument --device: invalid choice: "),
        (["corpus.jsonl", "--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_flags_that_are_wrong_are_told_in_the_form_asked_for(
    given: list[str], asked: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*given, *asked]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["exit_code"]) == ("error", 2) and told["message"].startswith(message)
    assert cli.main(given) == 2
    plain = capsys.readouterr().err
    assert plain.startswith("usage: zsre-extract ") and f"\nzsre-extract: error: {message}" in plain
    assert "\x1b" not in plain


def test_missing_relations_and_corpus_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["corpus.jsonl"]) == 2
    assert _error(capsys).startswith("--relations is missing: give a relations file, or wikidata")
    assert cli.main(["nope.jsonl", "--relations", "relations.yaml"]) == 2
    assert _error(capsys) == (
        "nope.jsonl: No such file or directory; give a JSONL or Parquet file, a folder of them, or - for standard input"
    )


def test_all_that_is_wrong_with_the_relations_is_told_before_the_pipeline_is_loaded(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(job_spec, "load_annotator", None)
    (place / "relations.yaml").write_text(RELATIONS_YAML.replace("[ORG]", "[PERSN]").replace("symmetric", "simmetric"))
    assert _run() == 2
    one, other = capsys.readouterr().err.splitlines()
    assert "field head.types of 'P112': value 'PERSN': unknown entity type: did you mean 'PERSON'?" in one
    assert "unknown key: did you mean 'symmetric'?" in other
    assert not Path("corpus.triples").exists()


def test_types_are_those_of_the_pipeline_that_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "BEAST", "pattern": "Nessie"}])  # type: ignore[attr-defined]
    nlp.to_disk(place / "beasts")
    (place / "relations.yaml").write_text(RELATIONS_YAML.replace("[PERSON]", "[BEAST]"))
    assert _run("--spacy-model", "beasts") == 2
    assert "value 'ORG': unknown entity type: known: BEAST;" in _error(capsys)
    (place / "relations.yaml").write_text(RELATIONS_YAML.replace("[PERSON]", "[BEAST]").replace("[ORG]", "[BEAST]"))
    assert _run("--spacy-model", "beasts") == 0


def test_types_that_no_given_entity_had_are_named_at_the_end(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = RELATIONS_YAML.replace("[ORG]", "[FIRM]") + "types: [FIRM]\n"
    (place / "relations.yaml").write_text(text)
    assert _run() == 0
    told = capsys.readouterr().err
    assert "no entity had the type FIRM, which the relations name" in told
    assert "entities had types that no relation names: ORG\n" in told


def test_fields_that_no_document_had_are_named_at_the_end(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--keep", "ulr,text") == 0
    told = capsys.readouterr().err
    assert "no document had the field 'ulr' of --keep" in told
    assert "'text' of --keep" not in told


def test_a_model_that_cannot_be_used_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(model: Path | None, device: str, threads: int | None) -> FakeEngine:
        raise ModelError(f"{model}: not a zsre model on {device} with {threads}")

    monkeypatch.setattr(job_spec, "load_engine", refuse)
    assert _run("--model", "m.onnx", "--device", "cpu", "--threads", "2") == 2
    assert _error(capsys) == "m.onnx: not a zsre model on cpu with 2"
    assert not Path("corpus.triples").exists()


def test_a_place_of_this_machine_is_one_however_it_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kept_command, "load_relation_engine", lambda model, device, threads: FakeEngine())
    corpus, out = (place / "corpus.jsonl").as_uri(), (place / "out put").as_uri()
    flags = ("--relations", "relations.yaml", "--quiet")
    assert cli.main([corpus, *flags, "--save-pairs", "vectors"]) == 0
    assert cli.main(["corpus.jsonl", *flags, "-o", out]) == 0
    assert cli.main([(place / "vectors").as_uri(), *flags, "-o", "again"]) == 0
    assert _rows() == _rows("out put") == _rows("again") != []
    assert (place / "out put/.lock").exists()
    with closing(FolderLock(place / "out put")):
        assert cli.main([corpus, *flags, "-o", out, "--overwrite"]) == 4
    assert "another run is writing to it" in _error(capsys)


def test_a_finished_run_is_only_replaced_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--quiet") == 0
    before = Path("corpus.triples/part-00000.parquet").stat().st_mtime_ns
    assert _run() == 4
    assert _error(capsys) == (
        "corpus.triples: holds a finished run; give another directory with -o, replace it with --overwrite, "
        "or take in what the input has gained with --append"
    )
    assert Path("corpus.triples/part-00000.parquet").stat().st_mtime_ns == before
    assert _run("--quiet", "--overwrite") == 0


def test_a_full_disk_ends_the_run_with_what_remains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = LocalFolder.write

    def second_fails(self: LocalFolder, name: str, write: Callable[[BinaryIO], object]) -> None:
        if name == "part-00001.parquet":
            raise OSError(28, "No space left on device")
        original(self, name, write)

    monkeypatch.setattr(LocalFolder, "write", second_fails)
    assert _run("--shard-lines", "1") == 4
    assert _error(capsys) == (
        "corpus.triples/part-00001.parquet: cannot be written: No space left on device; "
        "complete so far: 1 part; mend that, then the same command goes on"
    )
    assert json.loads(Path("corpus.triples/run.json").read_text())["status"] == "stopped"
    assert len(_rows()) == 1


@pytest.mark.parametrize("existing", [False, True])
def test_a_read_only_disk_is_told(
    existing: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(30, "Read-only file system")

    if existing:
        Path("corpus.triples").mkdir()
        monkeypatch.setattr(LocalFolder, "write", refuse)
    else:
        monkeypatch.setattr(Path, "mkdir", refuse)
    assert _run("--quiet") == 4
    error = _error(capsys)
    assert error.startswith("corpus.triples") and "cannot be written" in error and "Read-only file system" in error


def test_folders_and_patterns_are_read_and_ids_say_which_file(place: Path) -> None:
    (place / "news").mkdir()
    nameless = [{key: value for key, value in record.items() if key != "id"} for record in RECORDS]
    (place / "news" / "a.jsonl").write_bytes(jsonl(nameless))
    (place / "news" / "b.jsonl").write_bytes(jsonl(RECORDS))
    (place / "more-1.jsonl").write_bytes(b"\n" + jsonl(nameless))
    assert cli.main(["news", "more-*.jsonl", "--relations", "relations.yaml", "--quiet"]) == 0
    assert [row["doc_id"] for row in _rows("news.triples")] == [
        "news/a.jsonl:line-1", "news/a.jsonl:line-2", "d1", "d2", "more-1.jsonl:line-2", "more-1.jsonl:line-3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", "corpus.jsonl: holds no records, so there is nothing to extract from"),
        (b'{"body": "x"}\n[]\n{"body": "y"}\n', "every record was rejected (missing_text 2, not_an_object 1); "),
    ],
)
def test_a_corpus_that_gives_no_document_is_an_error_and_not_in_the_way_of_the_next_run(
    place: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "corpus.jsonl").write_bytes(content)
    assert _run() == 3
    assert message in _error(capsys)
    (place / "corpus.jsonl").write_bytes(jsonl(RECORDS))
    assert _run("--quiet") == 0
    assert len(_rows()) == 2
    assert Path("corpus.triples/rejects.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", 3, "corpus.jsonl: holds no records, so there is nothing to extract from"),
        (b"\x1f\x8bno gzip at all", 2, "corpus.jsonl: cannot be read beyond line 0: "),
        (gzip.compress(b'{"text": "x"}')[:15], 2, "corpus.jsonl: cannot be read beyond line 0: "),
    ],
)
def test_a_corpus_of_which_nothing_can_be_read_leaves_an_earlier_run_alone(
    place: Path, content: bytes, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("--quiet") == 0
    (place / "corpus.jsonl").write_bytes(content)
    assert _run("--overwrite") == code
    assert message in _error(capsys)
    assert len(_rows()) == 2
    assert _run("-o", "other") == code
    assert not Path("other").exists()


def test_a_stream_that_breaks_off_keeps_what_came_before(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filler = [{"text": os.urandom(40).hex()} for _ in range(200)]
    (place / "corpus.jsonl").write_bytes(gzip.compress(jsonl([*RECORDS, *filler]))[:-2000])
    assert _run() == 2
    assert "corpus.jsonl: cannot be read beyond line" in _error(capsys)
    assert len(_rows()) == 2
    assert json.loads(Path("corpus.triples/run.json").read_text())["status"] == "stopped"


def test_the_defaults_of_the_command_are_those_of_the_library() -> None:
    args = cli.build_parser().parse_args(["corpus.jsonl"])
    assert CutSettings(args.shard_lines, args.max_line_bytes, args.limit) == CutSettings()
    assert RecordSettings(args.text_field, args.id_field, (), args.max_text_chars) == RecordSettings()


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("zsre 0.")
    assert cli.main(["--help"]) == 0
    assert "--relations FILE" in capsys.readouterr().out
