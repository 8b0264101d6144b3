from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from zsre.relations import lock
from zsre.relations.errors import OutputError
from zsre.relations.lock import FolderLock, HeldError, is_locked


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "missing") and not is_locked(tmp_path)
    first = FolderLock(tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(OutputError, match="another run is writing to it; wait for it, or give another directory"):
        FolderLock(tmp_path)
    first.close()
    assert not is_locked(tmp_path)
    FolderLock(tmp_path).close()


def test_a_lock_that_is_discarded_leaves_nothing_and_is_nobody_else_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run that had opened the file before it went would hold what nobody else sees."""
    FolderLock(tmp_path).discard()
    assert list(tmp_path.iterdir()) == []
    take = lock._lock

    def taken_late(file: BinaryIO) -> None:
        monkeypatch.setattr(lock, "_lock", take)
        (tmp_path / lock.LOCK_FILE).unlink()
        take(file)

    monkeypatch.setattr(lock, "_lock", taken_late)
    with pytest.raises(HeldError, match="another run is writing to it"):
        FolderLock(tmp_path)
    FolderLock(tmp_path).close()


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from zsre.relations.lock import FolderLock\n"
        f"lock = FolderLock(Path({str(tmp_path)!r})); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline().strip() == b"held"
        assert is_locked(tmp_path)
        process.kill()
        process.wait()
    assert not is_locked(tmp_path)


def _refusing(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: BinaryIO) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock, "_lock", refuse)


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "ENOTSUP", "EOPNOTSUPP", "EINVAL"])
def test_a_place_without_locks_is_told_once_and_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _refusing(getattr(errno, name), monkeypatch)
    caplog.set_level(logging.WARNING, "zsre")
    (tmp_path / lock.LOCK_FILE).touch()
    assert not is_locked(tmp_path)
    FolderLock(tmp_path).close()
    (told,) = caplog.messages
    assert told.startswith(f"{tmp_path}: has no locks (") and "start no other run into it meanwhile" in told


@pytest.mark.parametrize("name", ["EWOULDBLOCK", "EAGAIN", "EACCES"])
def test_a_lock_that_another_holds_is_told_apart(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _refusing(getattr(errno, name), monkeypatch)
    (tmp_path / lock.LOCK_FILE).touch()
    assert is_locked(tmp_path)
    with pytest.raises(OutputError, match="another run is writing to it"):
        FolderLock(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions don't hold back this user")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written to: Permission denied"):
        FolderLock(tmp_path)
