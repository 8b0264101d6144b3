"""Folders and files of a store, and whole runs that read from one and write to one."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from tests.runner.fakes import RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl
from tests.runner.stores import RECORDS, on_posix, put, store
from zsre.relations.errors import UsageError
from zsre.runner import cli, job_spec, storage
from zsre.runner.storage import LocalFolder, RemoteFolder, file_system, open_folder, open_input

pytest.importorskip("fsspec")
#: A fixture is used by its name.
__all__ = ["store"]


@pytest.mark.parametrize("uri", ["nonsense://bucket/x", "fsspec+nonsense://x"])
def test_a_store_that_nobody_knows_is_told(uri: str) -> None:
    with pytest.raises(UsageError, match="cannot be opened: "):
        file_system(uri)


#: What names of stores come to, by Arrow's own reading of each.
LOCATED = [
    ("s3://bucket?region=eu", "bucket"),
    ("s3://bucket/?region=eu", "bucket"),
    ("s3://bucket/a%20b/c/?region=eu", "bucket/a b/c"),
    ("s3://bucket//a?region=eu", "bucket//a"),
    ("s3://bucket/a%2Fb?region=eu", "bucket/a/b"),
    ("s3://bucket/%C3%A9%25?region=eu", "bucket/é%"),
    ("s3://bucket/_?region=eu", "bucket/_"),
    ("s3://bucket/C:/a?region=eu", "bucket/C:/a"),
    ("s3://KEY:SEC%2FRET@bucket/me@home?region=eu", "bucket/me@home"),
    ("gs://anonymous@bucket/a%20b/", "bucket/a b"),
    ("abfs://account.blob.core.windows.net/container/a", "container/a"),
    ("abfs://container@account.dfs.core.windows.net/a%20b", "container/a b"),
    ("mock:///a%20b", "a b"),
    ("file:///a%20b/", "/a b"),
    ("file:///", "/"),
    ("fsspec+memory://x/a%20b/?q=1", "/x/a%20b/?q=1"),
    ("fsspec+memory:///x#y", "/x#y"),
]


@on_posix
@pytest.mark.parametrize(("uri", "path"), LOCATED)
def test_where_in_a_store_a_name_leads(uri: str, path: str) -> None:
    system, found = file_system(uri)
    arrows_own, arrows_path = fs.FileSystem.from_uri(uri)
    assert found == path == (arrows_path.rstrip("/") or arrows_path)
    assert type(system) is type(arrows_own)


@pytest.mark.parametrize("path", ["a b", "é", "a[1]", "a%zz", "a%FF"])
def test_a_name_that_is_no_uri_is_told_in_a_store(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be opened: "):
        file_system(f"s3://bucket/{path}?region=eu")


def test_many_names_of_one_store_share_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Counted:
        @staticmethod
        def from_uri(uri: str) -> tuple[fs.FileSystem, str]:
            opened.append(uri)
            return fs.FileSystem.from_uri(uri)

    class Arrow:
        FileSystem = Counted

    monkeypatch.setattr(storage, "fs", Arrow)
    bucket = f"s3://bucket-{uuid.uuid4().hex}"
    for number in range(50):
        system, path = file_system(f"{bucket}/in/{number}%20.jsonl?region=eu")
        assert path == f"{bucket.removeprefix('s3://')}/in/{number} .jsonl"
        assert system is file_system(f"{bucket}?region=eu")[0]
    assert len(opened) == 1
    others = (f"{bucket}/a?region=us", f"s3://KEY:SECRET@{bucket.removeprefix('s3://')}/a?region=eu")
    assert len({id(file_system(name)[0]) for name in (bucket + "?region=eu", *others)}) == 3
    assert len(opened) == 3


def test_a_folder_of_a_store_has_one_client_for_all_its_files(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RemoteFolder(f"{store}/out")
    folder.make()
    for number in range(5):
        folder.write(f"{number}", lambda file: file.write(b"some"))
    monkeypatch.setattr(storage, "file_system", None)
    assert [folder.read(f"{number}") for number in range(5)] == [b"some"] * 5


@pytest.mark.parametrize("kind", [LocalFolder, RemoteFolder])
def test_a_folder_is_one_wherever_it_lies(kind: type, store: str, tmp_path: Path) -> None:
    folder = open_folder(f"{store}/out" if kind is RemoteFolder else str(tmp_path / "out"))
    assert isinstance(folder, kind) and not folder.exists()
    assert folder.files() == folder.files("deep") == {}
    folder.make()
    assert folder.is_folder() and folder.is_empty()
    folder.write("a", lambda file: file.write(b"one"))
    folder.write("deep/b", lambda file: file.write(b"three"))
    folder.write("a", lambda file: file.write(b"four"))
    assert folder.files() == {"a": 4} and folder.files("deep") == {"b": 5}
    assert (folder.read("a"), folder.read("deep/b")) == (b"four", b"three")
    with open_input(folder.within("a")) as file:
        assert file.read() == b"four"
    assert folder.is_empty(ignoring=("a", "deep")) and not folder.is_empty()
    folder.remove("a")
    folder.remove("a")
    with pytest.raises(OSError):
        folder.read("a")


def test_a_run_reads_from_a_store_writes_to_one_and_goes_on(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stopping(FakeEngine):
        def encode(self, sentences):  # type: ignore[no-untyped-def]
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().encode(sentences)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_spec, "load_annotator", lambda name, processes: FakeAnnotator(TYPES))
    Path("relations.yaml").write_text(RELATIONS_YAML)
    put(f"{store}/in/a.jsonl", jsonl(RECORDS))
    run = [f"{store}/in/a.jsonl", "--relations", "relations.yaml", "--shard-lines", "2", "--quiet"]
    assert cli.main(run) == 2
    assert "-o is missing: name where the triples go" in capsys.readouterr().err
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: Stopping())
    assert cli.main([*run, "-o", f"{store}/out"]) == 130
    monkeypatch.setattr(job_spec, "load_engine", lambda model, device, threads: FakeEngine())
    assert cli.main([*run, "-o", f"{store}/out", "--show", "3"]) == 0
    assert "Bob" in capsys.readouterr().out
    folder = RemoteFolder(f"{store}/out")
    assert json.loads(folder.read("run.json"))["counts"]["documents"] == len(RECORDS)
    parts = [name for name in folder.files() if name.startswith("part-")]
    assert len(parts) == 4
    rows = 0
    for name in parts:
        with folder.open(name) as file:
            rows += pq.read_table(file).num_rows
    assert rows == len(RECORDS)
    assert cli.main([*run, "-o", f"{store}/out"]) == 4
    assert "holds a finished run" in capsys.readouterr().err
    assert cli.main([*run, "-o", f"{store}/out", "--overwrite"]) == 0
