"""A store other than the disk, for which Arrow's bridge to a file system in memory stands in."""

from __future__ import annotations

import errno
import gzip
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from tests.runner.fakes import RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl
from zsre.relations.errors import UsageError
from zsre.runner import cli, job_spec
from zsre.runner.inputs import Kind, find_segments
from zsre.runner.storage import LocalFolder, RemoteFolder, file_system, is_uri, open_folder, open_input, without_scheme

pytest.importorskip("fsspec")
RECORDS = [{"text": "Ann married Bob."}, {"text": "Acme was founded by Dee."}] * 4


@pytest.fixture
def store() -> Iterator[str]:
    root = f"fsspec+memory://zsre-{uuid.uuid4().hex}"
    yield root
    system, path = file_system(root)
    if system.get_file_info(path).type != fs.FileType.NotFound:
        system.delete_dir(path)


def _put(uri: str, content: bytes) -> None:
    system, path = file_system(uri)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    with system.open_output_stream(path) as stream:
        stream.write(content)


def test_what_is_a_uri() -> None:
    assert [is_uri(name) for name in ("s3://b/k", "fsspec+memory://x", "a.jsonl", "C:\\a", "C:/a", "-", "a:b")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("file:///data/a.jsonl", "/data/a.jsonl"),
        ("file:///two%20words/%C3%A9?use_mmap=1", "/two words/é"),
        ("file:///data/**/*.jsonl", "/data/**/*.jsonl"),
        ("file", "file"),
        ("a/file:///b", "a/file:///b"),
        ("s3://bucket/key?a=b", "s3://bucket/key?a=b"),
        ("-", "-"),
    ],
)
def test_a_place_of_this_machine_may_be_named_as_one_of_a_store(name: str, path: str) -> None:
    assert Path(without_scheme(name)) == Path(path)


@pytest.mark.parametrize("name", ["file://", "file://host/data", "file://a.jsonl"])
def test_a_place_of_another_machine_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="three slashes must stand before a path of this machine, as in file:///data"):
        without_scheme(name)


@pytest.mark.parametrize("uri", ["nonsense://bucket/x", "fsspec+nonsense://x"])
def test_a_store_that_nobody_knows_is_told(uri: str) -> None:
    with pytest.raises(UsageError, match="cannot be opened: "):
        file_system(uri)


def test_inputs_of_a_store_are_found_like_those_of_the_disk(store: str) -> None:
    for name in ("in/a.jsonl", "in/deep/b.jsonl.gz", "in/notes.txt", "in/.c.jsonl"):
        _put(f"{store}/{name}", gzip.compress(jsonl(RECORDS)) if name.endswith("gz") else jsonl(RECORDS))
    assert [(own.name, own.kind, own.id_prefix) for own in find_segments([f"{store}/in"])] == [
        (f"{store}/in/a.jsonl", Kind.PLAIN, "a.jsonl:"),
        (f"{store}/in/deep/b.jsonl.gz", Kind.GZIP, "deep/b.jsonl.gz:"),
    ]
    for pattern, names in {"in/*.jsonl": ["in/.c.jsonl", "in/a.jsonl"], "in/**/*.gz": ["in/deep/b.jsonl.gz"]}.items():
        assert [own.name for own in find_segments([f"{store}/{pattern}"])] == [f"{store}/{name}" for name in names]
    (one,) = find_segments([f"{store}/in/a.jsonl"])
    assert (one.kind, one.size, one.id_prefix) == (Kind.PLAIN, len(jsonl(RECORDS)), "")


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


def test_what_could_not_be_written_whole_is_not_there(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RemoteFolder(f"{store}/out")
    folder.make()

    class Broken:
        def __init__(self, stream):  # type: ignore[no-untyped-def]
            self.stream = stream

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *error: object) -> None:
            self.stream.close()

        def write(self, content: bytes) -> None:
            self.stream.write(bytes(content)[:2])
            raise OSError(errno.EIO, "connection lost")

    class Breaking:
        def __init__(self, system):  # type: ignore[no-untyped-def]
            self.system = system

        def __getattr__(self, name: str) -> object:
            return getattr(self.system, name)

        def open_output_stream(self, path: str) -> Broken:
            return Broken(self.system.open_output_stream(path))

    folder._system = Breaking(folder._system)
    with pytest.raises(OSError, match="connection lost"):
        folder.write("a", lambda file: file.write(b"whole"))
    assert folder.files() == {}


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
    _put(f"{store}/in/a.jsonl", jsonl(RECORDS))
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
