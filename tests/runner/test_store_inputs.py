"""Inputs that lie in a store, and what their names mean there."""

from __future__ import annotations

import gzip
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
from pyarrow import fs

from tests.runner.fakes import jsonl, make_job
from tests.runner.stores import RECORDS, on_posix, put, store
from zsre.relations.errors import DataError
from zsre.runner import inputs
from zsre.runner.corpus import CutSettings, cut
from zsre.runner.inputs import Kind, find_segments
from zsre.runner.reading import open_lines
from zsre.runner.stages import process_shard
from zsre.runner.storage import open_input
from zsre.runner.store_names import is_uri

pytest.importorskip("fsspec")
#: A fixture is used by its name.
__all__ = ["store"]


def test_inputs_of_a_store_are_found_like_those_of_the_disk(store: str) -> None:
    for name in ("in/a.jsonl", "in/deep/b.jsonl.gz", "in/notes.txt", "in/.c.jsonl"):
        put(f"{store}/{name}", gzip.compress(jsonl(RECORDS)) if name.endswith("gz") else jsonl(RECORDS))
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
            put(f"{place}/in/{name}", content)
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


def test_a_file_of_which_the_store_tells_no_size_is_told(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"{store}/a.jsonl", jsonl(RECORDS))

    class Vague:
        def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
            return [fs.FileInfo(path, fs.FileType.File) for path in paths]

    monkeypatch.setattr(inputs, "file_system", lambda uri: (Vague(), uri))
    with pytest.raises(DataError, match=r"a\.jsonl: the store tells no size of it; check its name and permissions"):
        find_segments([f"{store}/a.jsonl"])
