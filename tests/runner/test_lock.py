from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zsre.relations.errors import OutputError
from zsre.runner.lock import FolderLock, is_locked


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "missing") and not is_locked(tmp_path)
    first = FolderLock(tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(OutputError, match="another run is writing to it; wait for it, or give another directory"):
        FolderLock(tmp_path)
    first.close()
    assert not is_locked(tmp_path)
    FolderLock(tmp_path).close()


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from zsre.runner.lock import FolderLock\n"
        f"lock = FolderLock(Path({str(tmp_path)!r})); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline().strip() == b"held"
        assert is_locked(tmp_path)
        process.kill()
        process.wait()
    assert not is_locked(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions don't hold back this user")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written to: Permission denied"):
        FolderLock(tmp_path)
