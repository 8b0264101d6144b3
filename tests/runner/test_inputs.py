from __future__ import annotations

import gzip
import logging
import os
import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsre.relations.errors import DataError, UsageError
from zsre.runner.inputs import DIGEST_BYTES, Kind, digest, ends_line, find_segments
from zsre.runner.reading import open_lines

LINE = b'{"text": "x"}\n'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.jsonl", "a.jsonl", "news/2024/x.ndjson", "news/y.jsonl.gz", "news/.hidden.jsonl", "news/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(LINE) if name.endswith(".gz") else LINE)
    return tmp_path


def _names(*given: str) -> list[tuple[str, str]]:
    return [(Path(segment.name).as_posix(), segment.id_prefix) for segment in find_segments(given)]


def test_kinds_are_told_by_content_and_not_by_name(place: Path) -> None:
    pq.write_table(pa.table({"text": ["x"]}), place / "table.jsonl")
    contents = {
        "plain.gz": (LINE, Kind.PLAIN),
        "zipped.jsonl": (gzip.compress(LINE), Kind.GZIP),
        "zstd.parquet": (pa.Codec("zstd").compress(LINE, asbytes=True), Kind.ZSTD),
        "table.jsonl": ((place / "table.jsonl").read_bytes(), Kind.PARQUET),
        "empty.jsonl": (b"", Kind.PLAIN),
    }
    for name, (content, kind) in contents.items():
        (place / name).write_bytes(content)
        (segment,) = find_segments([name])
        assert (segment.kind, segment.size, segment.id_prefix) == (kind, len(content), ""), name


def test_a_folder_is_its_files_by_name_without_hidden_ones_and_others(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zsre"):
        assert _names("news") == [("news/2024/x.ndjson", "2024/x.ndjson:"), ("news/y.jsonl.gz", "y.jsonl.gz:")]
    assert caplog.messages == ["news: 1 other files are left out, such as notes.txt"]


def test_a_pattern_is_the_files_that_match_it(place: Path) -> None:
    assert _names("*.jsonl") == [("a.jsonl", "a.jsonl:"), ("b.jsonl", "b.jsonl:")]
    assert _names("news/**/*.ndjson") == [("news/2024/x.ndjson", "news/2024/x.ndjson:")]
    assert [name for name, _ in _names(str(place / "news" / "*.gz"))] == [(place / "news/y.jsonl.gz").as_posix()]
    (place / "odd[1].jsonl").write_bytes(LINE)
    assert _names("odd[1].jsonl") == [("odd[1].jsonl", "")], "a file of that very name comes first"


def test_several_inputs_are_read_in_the_order_given() -> None:
    assert _names("b.jsonl", "a.jsonl") == [("b.jsonl", "b.jsonl:"), ("a.jsonl", "a.jsonl:")]
    assert _names("news", "b.jsonl") == [
        ("news/2024/x.ndjson", "news/2024/x.ndjson:"),
        ("news/y.jsonl.gz", "news/y.jsonl.gz:"),
        ("b.jsonl", "b.jsonl:"),
    ]


@pytest.mark.parametrize("given", [("a.jsonl", "a.jsonl"), ("a.jsonl", "./a.jsonl"), ("*.jsonl", "b.jsonl")])
def test_a_file_given_twice_is_an_error(given: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="is given twice, also as "):
        find_segments(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.jsonl", r"missing\.jsonl: No such file or directory; give a JSONL or Parquet file, a folder of them"),
        ("*.csv", r"\*\.csv: no file has a name like that"),
        ("empty", r"empty: holds no file that ends in \.jsonl, .* name the files themselves"),
    ],
)
def test_an_input_that_cannot_be_read_is_named(place: Path, given: str, message: str) -> None:
    (place / "empty").mkdir()
    (place / "empty" / "x.csv").touch()
    with pytest.raises(DataError, match=message):
        find_segments([given])


def test_standard_input_comes_alone() -> None:
    (segment,) = find_segments(["-"])
    assert (segment.kind, segment.size) == (Kind.STREAM, None)
    with pytest.raises(UsageError, match="cannot be read together with other inputs"):
        find_segments(["-", "a.jsonl"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_a_stream_and_is_not_opened_to_look_at_it(place: Path) -> None:
    os.mkfifo(place / "pipe")
    (segment,) = find_segments(["pipe"])
    assert (segment.kind, segment.size, segment.digest) == (Kind.STREAM, None, "")


def test_a_digest_is_of_beginning_end_and_size(place: Path) -> None:
    path = place / "large"
    content = bytearray(os.urandom(3 * DIGEST_BYTES))
    path.write_bytes(content)
    whole = digest("large", len(content))
    assert find_segments(["large"])[0].digest == whole
    for position in (0, DIGEST_BYTES - 1, 2 * DIGEST_BYTES, len(content) - 1):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert digest("large", len(content)) != whole
    path.write_bytes(content + b"more")
    assert digest("large", len(content)) == whole, "of a file that has grown, what was there before"
    assert digest("large", len(content) + 4) != whole


def test_whether_a_line_ends_where_a_file_did(place: Path) -> None:
    (place / "f").write_bytes(b"one\ntwo")
    assert [ends_line("f", size) for size in (0, 3, 4, 7)] == [True, False, True, False]


def test_a_compressed_file_may_begin_with_a_frame_that_holds_nothing(place: Path) -> None:
    whole = b"\x50\x2a\x4d\x18\x04\0\0\0size" + pa.Codec("zstd").compress(LINE, asbytes=True)
    (place / "a.zst").write_bytes(whole)
    (segment,) = find_segments(["a.zst"])
    with closing(open_lines(segment, 100)) as opened:
        assert [line.data + b"\n" for line in opened.lines] == [LINE]


def test_a_link_that_leads_nowhere_is_missed(place: Path) -> None:
    (place / "news/z.jsonl").symlink_to("gone.jsonl")
    for given in ("news", "news/*.jsonl"):
        with pytest.raises(DataError, match=r"news/z\.jsonl: No such file or directory; check its name"):
            find_segments([given])


def test_a_link_to_a_folder_is_not_followed_which_is_said(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    (place / "news/2024/up").symlink_to("..")
    assert len(_names("news")) == 2
    assert caplog.messages == ["news/2024/up: is a link to a folder and not followed; name it as an input"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("news/**/*.ndjson", ["news/2024/x.ndjson"]),
        ("news/**", ["news/2024/x.ndjson", "news/notes.txt", "news/y.jsonl.gz"]),
        ("**/x.*", ["news/2024/x.ndjson"]),
        ("news/*/up/*/x.ndjson", ["news/2024/up/2024/x.ndjson"]),
        ("n*/20??/[x]*", ["news/2024/x.ndjson"]),
    ],
)
def test_a_pattern_goes_round_no_loop_of_links(pattern: str, found: list[str], place: Path) -> None:
    """With two links in a loop, the ways through it would be more than anything could count."""
    for name in ("up", "again"):
        (place / "news/2024" / name).symlink_to("..")
    assert [name for name, _ in _names(pattern)] == found


def test_a_folder_that_only_a_link_leads_to_is_found_by_a_pattern(place: Path) -> None:
    (place / "elsewhere/deep").mkdir(parents=True)
    (place / "elsewhere/deep/z.jsonl").write_bytes(LINE)
    (place / "news/in").symlink_to("../elsewhere")
    assert [name for name, _ in _names("news/**/*.jsonl")] == ["news/in/deep/z.jsonl"]
    assert [name for name, _ in _names("*/**/z.jsonl")] == ["elsewhere/deep/z.jsonl"]


@pytest.mark.parametrize("given", ["news", "news/*/*.ndjson", "news/**/*.ndjson"])
def test_a_file_of_several_names_counts_once(given: str, place: Path) -> None:
    (place / "news/2024/a.ndjson").symlink_to("x.ndjson")
    (place / "news/2024/z.ndjson").symlink_to(place / "news/2024/x.ndjson")
    names = [name for name, _ in _names(given)]
    assert [name for name in names if name.endswith("ndjson")] == ["news/2024/x.ndjson"]


@pytest.mark.parametrize("given", ["news", "news/**/*.ndjson", "news/*/*.ndjson"])
def test_a_folder_below_that_cannot_be_read_is_told(given: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(look):  # type: ignore[no-untyped-def]
        def looked(path: str = ".") -> object:
            if Path(path).name == "2024":
                raise PermissionError(13, "Permission denied", path)
            return look(path)

        return looked

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    with pytest.raises(DataError, match="news/2024: Permission denied; check its permissions"):
        find_segments([given])


@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 or UTF-16 elsewhere")
@pytest.mark.parametrize("given", ["news", os.fsdecode(b"news/\xff.jsonl")])
def test_a_name_that_cannot_be_written_down_is_told(place: Path, given: str) -> None:
    (place / os.fsdecode(b"news/\xff.jsonl")).write_bytes(LINE)
    with pytest.raises(DataError, match="its name is not UTF-8, so that nothing could be written down of it; rename"):
        find_segments([given])


def test_what_lies_in_an_output_is_no_input(place: Path) -> None:
    (place / "news/out/shards").mkdir(parents=True)
    for name in ("part-00000.parquet", "rejects.jsonl", "shards/00000.json"):
        (place / "news/out" / name).write_bytes(LINE)
    for outputs in (["news/out"], [str(place / "news/out")], ["news/../news/out/"]):
        assert len(find_segments(["news"], outputs)) == 2
        assert len(find_segments(["news/**/*.json*"], outputs)) == 1
    assert len(find_segments(["news/out/rejects.jsonl"], ["news/out"])) == 1
    assert len(find_segments(["news"], ["new"])) == 5
    for given in ("news/2024", "news/2024/*", "news/20*/*"):
        assert len(find_segments([given], ["news"])) == 1, "the input is within the output"
