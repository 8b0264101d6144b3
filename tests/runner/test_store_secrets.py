"""Passwords in the names of stores open them, and are told nowhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from tests.runner.fakes import RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl
from tests.runner.stores import RECORDS, put, store
from zsre.relations.errors import DataError, UsageError
from zsre.runner import cli, inputs, job_spec, storage
from zsre.runner.draw import open_finished
from zsre.runner.inputs import find_segments
from zsre.runner.judged import open_judged
from zsre.runner.storage import LocalFolder, RemoteFolder, file_system

pytest.importorskip("fsspec")
#: A fixture is used by its name.
__all__ = ["store"]


@pytest.mark.parametrize(
    "name",
    [
        "s3://KEY:SECRET@b /c",
        "s3://KEY:SEC/RET@b/c",
        "S3://KEY:SECRET@b/c",
        "fsspec+nonsense://KEY:SECRET@b/c",
        "fsspec+https://b/c?sig=SECRET",
    ],
)
def test_what_cannot_be_opened_is_told_without_secrets(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be opened: ") as raised:
        file_system(name)
    assert "KEY" not in str(raised.value) and "SEC" not in str(raised.value)


def test_what_a_store_says_of_an_address_is_told_without_its_signature(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Absent:
        def get_file_info(self, paths: list[str]) -> None:
            raise FileNotFoundError("https://KEY:SECRET@host/a.jsonl?id=5&sig=SECRET is forbidden")

    monkeypatch.setattr(inputs, "file_system", lambda uri: (Absent(), "a.jsonl"))
    with pytest.raises(DataError) as raised:
        find_segments(["fsspec+https://KEY:SECRET@host/a.jsonl?id=5&sig=SECRET"])
    assert str(raised.value).startswith(
        "fsspec+https://host/a.jsonl?id=5&sig=***: https://host/a.jsonl?id=5&sig=*** is forbidden; give a JSONL"
    )


@pytest.fixture
def guarded(store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a name that opens the store with user and password, and fails without them."""
    original = fs.FileSystem.from_uri

    class Guarded:
        @staticmethod
        def from_uri(uri: str) -> tuple[fs.FileSystem, str]:
            if "://KEY:SECRET@" not in uri:
                raise OSError(f"{uri}: access denied")
            return original(uri.replace("KEY:SECRET@", ""))  # type: ignore[no-any-return]

    class Arrow:
        FileSystem = Guarded

        def __getattr__(self, name: str) -> object:
            return getattr(fs, name)

    monkeypatch.setattr(storage, "fs", Arrow())
    return store.replace("://", "://KEY:SECRET@")


def _texts_of(folder: RemoteFolder) -> str:
    names = [*folder.files(), *(f"shards/{name}" for name in folder.files("shards"))]
    return b"".join(folder.read(name) for name in names if not name.endswith(".parquet")).decode()


def test_a_password_opens_a_store_and_is_told_nowhere(
    guarded: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_annotator", lambda name, processes: FakeAnnotator(TYPES))
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    Path("relations.yaml").write_text(RELATIONS_YAML)
    put(f"{guarded}/in/a.jsonl", jsonl(RECORDS) + b"{\n")
    put(f"{guarded}/in/b.jsonl", jsonl(RECORDS))
    flags = ("--relations", "relations.yaml", "--shard-lines", "3", "-o", f"{guarded}/out")
    run = [f"{guarded}/in/*.jsonl", *flags]
    assert cli.main(run) == 0
    folder = RemoteFolder(f"{guarded}/out")
    with folder.open("part-00000.parquet") as file:
        rows = pq.read_table(file)
    assert rows["doc_id"][0].as_py() == f"{store}/in/a.jsonl:line-1"
    assert json.loads(folder.read("rejects.jsonl"))["file"] == f"{store}/in/a.jsonl"
    facts = json.loads(folder.read("run.json"))
    assert [own["name"] for own in facts["input"]] == [f"{store}/in/{name}.jsonl" for name in "ab"]
    # A run that an earlier version wrote down has the names as they were given.
    inputs_of_old = [{**own, "name": own["name"].replace(store, guarded)} for own in facts["input"]]
    old = json.dumps({**facts, "input": inputs_of_old, "status": "running"}).encode()
    folder.write("run.json", lambda file: file.write(old))
    folder.remove("shards/00002.json")
    assert cli.main(run) == 0
    put(f"{guarded}/in/b.jsonl", jsonl(RECORDS) + jsonl([{"text": "Kim married Lee."}]))
    assert cli.main([*run, "--append"]) == 0
    assert json.loads(folder.read("run.json"))["counts"]["documents"] == 2 * len(RECORDS) + 1
    assert cli.main(run) == 4
    for missing in ("c.jsonl", "*.parquet"):
        assert cli.main([f"{guarded}/in/{missing}", *flags]) == 2
    told = capsys.readouterr()
    for text in (_texts_of(folder), f"{rows.schema.metadata}{rows.to_pylist()}", told.out, told.err):
        assert store.removeprefix("fsspec+memory://") in text or text is told.out
        assert "SECRET" not in text and "KEY" not in text


def test_places_that_are_refused_are_told_without_secrets(
    guarded: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("relations.yaml").write_text(RELATIONS_YAML)
    Path("a.jsonl").write_bytes(jsonl(RECORDS))
    elsewhere = "s3://KEY:SECRET@b/x?region=eu"
    assert cli.main(["a.jsonl", "--relations", "relations.yaml", "--save-pairs", elsewhere]) == 2
    assert "--save-pairs s3://b/x: vectors are kept in a directory of this machine" in capsys.readouterr().err
    with pytest.raises(UsageError, match="-o s3://b/x: judged triples are saved"):
        open_judged(elsewhere, LocalFolder(tmp_path))
    with pytest.raises(DataError, match=f"{re.escape(store)}/none: there is no such folder"):
        open_finished(f"{guarded}/none")
    put(f"{guarded}/a.jsonl", jsonl(RECORDS))
    with pytest.raises(UsageError, match=f"^{re.escape(store)}/a.jsonl: is given twice, also as {re.escape(store)}/a"):
        find_segments([f"{guarded}/a.jsonl", f"{guarded}/a.jsonl"])
