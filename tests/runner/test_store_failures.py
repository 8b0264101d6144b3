"""Stores that fail in the middle: what is written there, and what can't be read at a moment."""

from __future__ import annotations

import errno
import json
from contextlib import suppress
from typing import BinaryIO

import pytest
from pyarrow import fs

from tests.runner.stores import store
from tests.runner.test_output import PLACE, REJECT, TABLE
from zsre.relations.errors import OutputError
from zsre.runner.counts import Counts
from zsre.runner.output import OutputDirectory
from zsre.runner.recording import recorded
from zsre.runner.run_state import Wish
from zsre.runner.shard_triples import ShardResult
from zsre.runner.storage import RemoteFolder

pytest.importorskip("fsspec")
#: A fixture is used by its name.
__all__ = ["store"]


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
