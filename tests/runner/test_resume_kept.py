"""Runs that keep vectors, or read them, and stop and go on."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.runner.resuming import (
    CORPUS,
    facts_of,
    place,
    run_command,
    stop_run,
    table_of,
    told_error,
)
from zsre.relations.lock import FolderLock
from zsre.runner import kept, kept_command

#: A fixture is used by its name.
__all__ = ["place"]


def test_vectors_are_kept_of_every_shard_when_a_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    stop_run(monkeypatch, *saving, after=14)
    assert sorted(Path("vectors").glob("pairs-*"))
    Path("vectors/pairs-00000.parquet").unlink()
    Path("vectors/mentions-00001.parquet").write_bytes(b"half")
    assert run_command(*saving) == 0
    assert run_command("vectors", "-o", "again") == 0
    assert table_of("again").equals(table_of("out"))


@pytest.mark.parametrize("name", ["mentions-00000.parquet", "pairs-00000.parquet"])
def test_vectors_that_cannot_be_read_at_this_moment_are_kept(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    stop_run(monkeypatch, *saving, after=14)
    before = sorted(Path().glob("*/*"))
    original = kept.has_footer

    def throttled(file: BinaryIO) -> bool:
        if file.name == str(Path("vectors", name)):
            raise OSError(errno.EIO, "Input/output error")
        return original(file)

    monkeypatch.setattr(kept, "has_footer", throttled)
    capsys.readouterr()
    assert run_command(*saving) == 4
    assert f"{Path('vectors', name)}: cannot be read: Input/output error; nothing was removed" in told_error(capsys)
    assert sorted(Path().glob("*/*")) == before
    monkeypatch.setattr(kept, "has_footer", original)
    assert run_command(*saving) == 0
    assert run_command("vectors", "-o", "again") == 0
    assert table_of("again").equals(table_of("out"))


@pytest.mark.parametrize("left", ["", "pairs-00000.parquet", ".vectors.json.tmp"])
def test_a_run_that_has_no_part_yet_begins_again_with_its_vectors(monkeypatch: pytest.MonkeyPatch, left: str) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    stop_run(monkeypatch, *saving, after=0)
    assert Path("vectors/vectors.json").exists() and not list(Path("out").glob("part-*"))
    if left:
        Path("vectors", left).write_bytes(b"half")
    assert run_command("--save-pairs", "vectors", "-o", "other") == 4
    assert run_command(*saving) == 0
    assert run_command("vectors", "-o", "again") == 0
    assert table_of("again").equals(table_of("out"))


def test_what_a_killed_run_has_begun_to_write_is_in_nobodys_way() -> None:
    for name in ("vectors/.vectors.json.tmp", "out/.run.json.tmp"):
        Path(name).parent.mkdir()
        Path(name).write_bytes(b"{")
    assert run_command("--save-pairs", "vectors", "-o", "out") == 0
    assert run_command("vectors", "-o", "again") == 0
    assert not list(Path().glob("*/.*.tmp"))


def test_a_run_over_vectors_goes_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command("--save-pairs", "vectors", "-o", "out") == 0
    original, calls = kept_command.kept_place, []

    def third_stops(*given):  # type: ignore[no-untyped-def]
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(kept_command, "kept_place", third_stops)
    assert run_command("vectors", "-o", "again") == 130
    assert len(list(Path("again").glob("part-*"))) == 2
    assert run_command("vectors", "-o", "again") == 0
    assert table_of("again").equals(table_of("out"))
    assert facts_of("again")["counts"] == facts_of("out")["counts"]


def test_a_run_that_is_refused_leaves_kept_vectors_as_they_are(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    assert run_command(*saving) == 0
    before = {path: path.read_bytes() for path in Path("vectors").iterdir()}
    assert run_command(*saving, "--append", "--threshold", "0.9") == 4
    assert "thresholds.P112: was 0.5 and is now 0.9" in told_error(capsys)
    assert {path: path.read_bytes() for path in Path("vectors").iterdir()} == before
    assert run_command("vectors", "-o", "again") == 0


def test_vectors_that_another_run_is_writing_are_not_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("--save-pairs", "vectors", "-o", "out") == 0
    Path("vectors/.pairs-00009.parquet.tmp").touch()
    before = sorted(Path("vectors").iterdir())
    with closing(FolderLock(Path("vectors"))):
        assert run_command("--save-pairs", "vectors", "-o", "other", "--overwrite") == 4
    assert "vectors: another run is writing to it" in told_error(capsys)
    assert sorted(Path("vectors").iterdir()) == before


def test_vectors_of_a_run_that_was_replaced_do_not_stay(place: Path) -> None:
    saving = ("--save-pairs", "vectors", "-o", "out")
    assert run_command(*saving) == 0
    (place / "corpus.jsonl").write_bytes(CORPUS[: CORPUS.index(b"\n") + 1])
    assert run_command(*saving, "--overwrite") == 0
    assert sorted(path.name for path in Path("vectors").glob("*.parquet")) == [
        "mentions-00000.parquet",
        "pairs-00000.parquet",
    ]
