"""A store other than the disk, for which Arrow's bridge to a file system in memory stands in."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from tests.runner.fakes import RELATIONS_YAML, TYPES, FakeAnnotator, FakeEngine, jsonl, make_job
from tests.runner.test_output import PLACE, REJECT, TABLE
from zsre.relations.errors import DataError, OutputError, UsageError
from zsre.runner import cli, inputs, job_spec, storage
from zsre.runner.corpus import CutSettings, cut
from zsre.runner.counts import Counts
from zsre.runner.draw import open_finished
from zsre.runner.inputs import Kind, find_segments
from zsre.runner.judged import open_judged
from zsre.runner.output import OutputDirectory
from zsre.runner.reading import open_lines
from zsre.runner.recording import recorded
from zsre.runner.run_state import Wish
from zsre.runner.shard_triples import ShardResult
from zsre.runner.stages import process_shard
from zsre.runner.storage import LocalFolder, RemoteFolder, file_system, open_folder, open_input
from zsre.runner.store_names import is_uri

pytest.importorskip("fsspec")
on_posix = pytest.mark.skipif(os.name == "nt", reason="file names there hold neither question marks nor asterisks")
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


def test_inputs_of_a_store_are_found_like_those_of_the_disk(store: str) -> None:
    for name in ("in/a.jsonl", "in/deep/b.jsonl.gz", "in/notes.txt", "in/.c.jsonl"):
        _put(f"{store}/{name}", gzip.compress(jsonl(RECORDS)) if name.endswith("gz") else jsonl(RECORDS))
    assert [(own.name, own.kind, own.id_prefix) for own in find_segments([f"{store}/in"])] == [
        (f"{store}/in/a.jsonl", Kind.PLAIN, "a.jsonl:"),
        (f"{store}/in/deep/b.jsonl.gz", Kind.GZIP, "deep/b.jsonl.gz:"),
    ]
    for pattern, names in {"in/*.jsonl": ["in/a.jsonl"], "in/**/*.gz": ["in/deep/b.jsonl.gz"]}.items():
        assert [own.name for own in find_segments([f"{store}/{pattern}"])] == [f"{store}/{name}" for name in names]
    (one,) = find_segments([f"{store}/in/a.jsonl"])
    assert (one.kind, one.size, one.id_prefix) == (Kind.PLAIN, len(jsonl(RECORDS)), "")


@on_posix
@pytest.mark.parametrize(
    "pattern",
    [
        *("*.jsonl", "[!t]*.jsonl", "[^a]*", "[9-0]*", "[!9-0]*.jsonl", "[]a]*", "[t-]*", "[a", "[!t]*/[!x]*.jsonl"),
        *("**", "**/*.jsonl", "**/**/x*", "*/**/x*", "d*/**", "**/[d]*/**/x*", "[a-e]**", "*[a-e]/*"),
        *(".*", "*/.*", "[.]*", "**/.h*/*", "[d]*/more/x.jsonl"),
    ],
)
def test_a_pattern_means_in_a_store_what_it_means_on_the_disk(pattern: str, tmp_path: Path) -> None:
    names = ("a.jsonl", "t.jsonl", "!.jsonl", "^.jsonl", "-.jsonl", "].jsonl", "9.jsonl", ".h.jsonl", "[a")
    deeper = ("t/y.jsonl", "d/x.jsonl", "d/t.jsonl", "d/more/x.jsonl", "d/more/dd/x.jsonl", "d/.hid/x.jsonl", ".hid/x")
    for name in (*names, *deeper):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(jsonl(RECORDS))

    def found(root: str) -> list[str]:
        try:
            return [own.name.removeprefix(f"{root}/") for own in find_segments([f"{root}/{pattern}"])]
        except DataError as error:
            assert "no file has a name like that" in str(error)
            return []

    here = [name.as_posix() for name in map(Path, found(str(tmp_path)))]
    assert [unquote(name) for name in found(f"file://{tmp_path.as_posix()}")] == here


ODD_NAMES = ["my file.jsonl", "a%20b.jsonl", "a#b.jsonl", "why?.jsonl", "odd[1].jsonl", "été.jsonl", "k=v+1,2.jsonl"]


def _odd(place: str, path: Path) -> str:
    for number, name in enumerate(ODD_NAMES):
        content = jsonl(RECORDS[: number + 1])
        if is_uri(place):
            _put(f"{place}/in/{name}", content)
        else:
            (path / "in").mkdir(exist_ok=True)
            (path / "in" / name).write_bytes(content)
    return place if is_uri(place) else f"file://{path.as_posix()}"


@on_posix
@pytest.mark.parametrize("of", ["memory", "file"])
def test_names_that_mean_something_in_a_uri_are_read(of: str, store: str, tmp_path: Path) -> None:
    root = _odd(store if of == "memory" else "", tmp_path)
    sizes = {name: len(jsonl(RECORDS[: number + 1])) for number, name in enumerate(ODD_NAMES)}
    for given, prefix in {"in": "", "in/*": f"{root}/in/"}.items():
        segments = find_segments([f"{root}/{given}"])
        assert {own.id_prefix: own.size for own in segments} == {
            f"{prefix}{name}:": size for name, size in sizes.items()
        }
        for own in segments:
            with open_input(own.name) as file:
                assert len(file.read()) == own.size
            (again,) = find_segments([own.name])
            assert (again.name, again.size, again.id_prefix) == (own.name, own.size, ""), "its name may be given"
    (again,) = find_segments([f"{root}/in/odd[1].jsonl"])
    assert (again.size, again.id_prefix) == (sizes["odd[1].jsonl"], ""), "a file of that very name comes first"


@on_posix
def test_escapes_of_a_uri_hold_in_patterns_and_outputs(tmp_path: Path) -> None:
    for name in ("a b/c d 1.jsonl", "a b/c d 2.jsonl", "a b/my out/x.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(jsonl(RECORDS))
    root = f"file://{tmp_path.as_posix()}/a%20b"
    assert len(find_segments([f"{root}/c%20d*"])) == len(find_segments([f"{root}/c%20d%20[!1].*"])) + 1 == 2
    for output in (f"{root}/my%20out", f"{root}/my%20out/?"):
        assert [own.id_prefix for own in find_segments([root], [output])] == ["c d 1.jsonl:", "c d 2.jsonl:"]


@on_posix
def test_messages_and_rejects_give_a_name_as_the_store_does(tmp_path: Path) -> None:
    (tmp_path / "my 5%.jsonl").write_bytes(b"{\n")
    (tmp_path / "my 6%.jsonl.gz").write_bytes(gzip.compress(jsonl(RECORDS))[:-9])
    root = f"file://{tmp_path.as_posix()}"
    bad, broken = find_segments([root])
    (shard,) = cut([bad], CutSettings())
    (reject,) = process_shard(shard, make_job()).rejects
    assert reject.file == f"{root}/my 5%.jsonl"
    with closing(open_lines(broken, 1000)) as opened, pytest.raises(DataError) as raised:
        list(opened.lines)
    assert str(raised.value).startswith(f"{root}/my 6%.jsonl.gz: cannot be read beyond line ")


@pytest.mark.parametrize(
    "name", ["s3://KEY:SECRET@b /c", "s3://KEY:SEC/RET@b/c", "S3://KEY:SECRET@b/c", "fsspec+nonsense://KEY:SECRET@b/c"]
)
def test_what_cannot_be_opened_is_told_without_secrets(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be opened: ") as raised:
        file_system(name)
    assert "KEY" not in str(raised.value) and "SEC" not in str(raised.value)


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
    _put(f"{guarded}/in/a.jsonl", jsonl(RECORDS) + b"{\n")
    _put(f"{guarded}/in/b.jsonl", jsonl(RECORDS))
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
    _put(f"{guarded}/in/b.jsonl", jsonl(RECORDS) + jsonl([{"text": "Kim married Lee."}]))
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
    _put(f"{guarded}/a.jsonl", jsonl(RECORDS))
    with pytest.raises(UsageError, match=f"^{re.escape(store)}/a.jsonl: is given twice, also as {re.escape(store)}/a"):
        find_segments([f"{guarded}/a.jsonl", f"{guarded}/a.jsonl"])


def test_a_file_of_which_the_store_tells_no_size_is_told(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(f"{store}/a.jsonl", jsonl(RECORDS))

    class Vague:
        def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
            return [fs.FileInfo(path, fs.FileType.File) for path in paths]

    monkeypatch.setattr(inputs, "file_system", lambda uri: (Vague(), uri))
    with pytest.raises(DataError, match=r"a\.jsonl: the store tells no size of it; check its name and permissions"):
        find_segments([f"{store}/a.jsonl"])


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


class _Breaking:
    """A store that stops taking anything in the middle of some files."""

    def __init__(self, system: fs.FileSystem, breaks: str, removes: bool = True) -> None:
        self.system, self.breaks, self.removes = system, breaks, removes

    def __getattr__(self, name: str) -> object:
        return getattr(self.system, name)

    def open_output_stream(self, path: str) -> object:
        stream = self.system.open_output_stream(path)
        return _Broken(stream) if path.endswith(self.breaks) else stream

    def delete_file(self, path: str) -> None:
        if not self.removes:
            raise OSError(errno.EIO, "out of reach")
        self.system.delete_file(path)


class _Broken:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def __enter__(self) -> _Broken:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def write(self, content: bytes) -> int:
        self.stream.write(bytes(content)[:2])
        raise OSError(errno.EIO, "connection lost")


@pytest.mark.parametrize("removes", [True, False])
def test_what_could_not_be_written_whole_is_not_there(removes: bool, store: str) -> None:
    folder = RemoteFolder(f"{store}/out")
    folder.make()
    folder._system = _Breaking(folder._system, "a", removes)
    with pytest.raises(OSError, match="connection lost"):
        folder.write("a", lambda file: file.write(b"whole"))
    assert folder.files() == ({} if removes else {"a": 2})


def test_what_is_written_to_a_store_is_not_held(store: str) -> None:
    folder = RemoteFolder(f"{store}/out")
    folder.make()
    opened: list[BinaryIO] = []
    system, opening = folder._system, folder._system.open_output_stream

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(system, name)

        def open_output_stream(self, path: str) -> BinaryIO:
            opened.append(opening(path))
            return opened[-1]

    def write(file: BinaryIO) -> None:
        for count in range(1, 4):
            file.write(b"block")
            assert [stream.tell() for stream in opened] == [5 * count]

    folder._system = Watched()
    folder.write("a", write)
    assert folder.read("a") == b"block" * 3

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise ValueError("no record of a shard")

    with pytest.raises(ValueError, match="no record"):
        folder.write("a", fail)
    assert folder.files() == {}


@pytest.mark.parametrize("breaks", ["rejects.jsonl", "none"])
def test_half_of_the_rejects_lies_beside_no_run_that_is_over(breaks: str, store: str) -> None:
    folder = RemoteFolder(f"{store}/out")
    folder.make()
    folder._system = _Breaking(folder._system, breaks, removes=False)

    def run() -> None:
        with recorded(OutputDirectory(folder), (), Wish.GO_ON, {}) as begun:
            for index in range(2):
                begun.commit(ShardResult(index, TABLE, (REJECT, REJECT), Counts(shards=1)), PLACE)

    if breaks == "none":
        run()
    else:
        with pytest.raises(OutputError, match=r"rejects\.jsonl: cannot be written: connection lost"):
            run()
    status = json.loads(folder.read("run.json"))["status"]
    lines = folder.read("rejects.jsonl").splitlines()
    if breaks == "none":
        assert (status, [json.loads(line)["line"] for line in lines]) == ("finished", [3] * 4)
    else:
        assert (status, lines) == ("running", [b'{"'])


class _Dying:
    """A store in the middle of whose file of facts so-and-so the process dies, so that half of it lies in its place."""

    def __init__(self, system: fs.FileSystem, number: int) -> None:
        self.system, self.left, self.dead = system, number, False

    def __getattr__(self, name: str) -> object:
        if self.dead:
            raise OSError(errno.EIO, "out of reach")
        return getattr(self.system, name)

    def open_output_stream(self, path: str) -> object:
        stream = self.__getattr__("open_output_stream")(path)
        if not path.endswith(("run.json", "begun.json")):
            return stream
        self.left -= 1
        self.dead = self.left < 0
        return _Broken(stream) if self.dead else stream


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("before", ["nothing", "begun", "run.json lost", "begun by an earlier version"])
def test_no_file_of_facts_that_is_half_written_keeps_a_run_from_going_on(before: str, number: int, store: str) -> None:
    folder = RemoteFolder(f"{store}/out")
    folder.make()
    if before != "nothing":
        _two_shards(folder)
    if before == "run.json lost":
        folder.write("run.json", lambda file: file.write(b"{"))
    if before == "begun by an earlier version":
        folder.remove("shards/begun.json")
    system = folder._system
    folder._system = _Dying(system, number)
    with suppress(OutputError), recorded(OutputDirectory(folder), (), Wish.GO_ON, {}) as run:
        run.commit(ShardResult(2, TABLE, (), Counts(shards=1)), PLACE)
    folder._system = system
    done = OutputDirectory(folder).recorded()
    with recorded(OutputDirectory(folder), (), Wish.GO_ON, {}) as run:
        assert sorted(run.done) == done and set(done) >= (set() if before == "nothing" else {0, 1})


class _Refusing:
    """A store that doesn't give some files at this moment, whatever it says of them."""

    def __init__(self, system: fs.FileSystem, name: str, error: OSError) -> None:
        self.system, self.name, self.error = system, name, error

    def __getattr__(self, name: str) -> object:
        return getattr(self.system, name)

    def open_input_file(self, path: str) -> object:
        if path.endswith(self.name):
            raise self.error
        return self.system.open_input_file(path)


def _two_shards(folder: RemoteFolder) -> None:
    with pytest.raises(KeyboardInterrupt), recorded(OutputDirectory(folder), (), Wish.GO_ON, {}) as begun:
        for index in range(2):
            begun.commit(ShardResult(index, TABLE, (), Counts(shards=1)), PLACE)
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["run.json", "shards/00001.json", "part-00001.parquet"])
@pytest.mark.parametrize(
    "error",
    [
        OSError("AWS Error SLOW_DOWN during GetObject operation"),
        OSError(errno.EMFILE, "Too many open files"),
        PermissionError(errno.EACCES, "Permission denied"),
        FileNotFoundError("as some stores say of whatever they cannot open"),
    ],
)
def test_what_cannot_be_read_at_this_moment_is_not_removed(name: str, error: OSError, store: str) -> None:
    folder = RemoteFolder(f"{store}/out")
    _two_shards(folder)
    before, system = (folder.files(), folder.files("shards")), folder._system
    folder._system = _Refusing(system, name, error)
    with (
        pytest.raises(OutputError, match=rf"{name}: cannot be read: .*; nothing was removed: mend that, then the same"),
        recorded(OutputDirectory(folder), (), Wish.GO_ON, {}),
    ):
        pass
    assert (folder.files(), folder.files("shards")) == before
    folder._system = system
    with recorded(OutputDirectory(folder), (), Wish.GO_ON, {}) as run:
        assert list(run.done) == [0, 1]


@pytest.mark.parametrize("name", ["shards/00001.json", "part-00001.parquet"])
def test_a_store_may_say_anything_of_a_file_that_is_missing(name: str, store: str) -> None:
    folder = RemoteFolder(f"{store}/out")
    _two_shards(folder)
    folder.remove(name)
    folder._system = _Refusing(folder._system, name, OSError("no such key"))
    with pytest.raises(FileNotFoundError):
        folder.open(name)
    with recorded(OutputDirectory(folder), (), Wish.GO_ON, {}) as run:
        assert list(run.done) == [0]


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
