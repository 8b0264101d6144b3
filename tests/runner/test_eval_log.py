from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from zsre.runner import eval_log


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_says_whether_there_are_changes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(["git", *names, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    (place / "runner").mkdir()
    monkeypatch.setattr(eval_log, "SOURCE", place / "runner")
    assert eval_log.current_commit() is None
    git("init", "--quiet")
    (place / "results").mkdir()
    log = place / "results" / "log.jsonl"
    log.touch()
    (place / "kept.txt").touch()
    git("add", "kept.txt", "results")
    git("commit", "--quiet", "--message", "one")
    commit = git("rev-parse", "--short=12", "HEAD")
    log.write_text("a measurement", encoding="utf-8")
    assert eval_log.current_commit() == commit
    (place / "kept.txt").write_text("changed", encoding="utf-8")
    assert eval_log.current_commit() == f"{commit}+"
    (place / "lib" / "runner").mkdir(parents=True)
    monkeypatch.setattr(eval_log, "SOURCE", place / "lib" / "runner")
    assert eval_log.current_commit() is None, "installed within somebody's repository"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_is_never_asked_in_the_working_directory(place: Path) -> None:
    run_by_git = f"touch {place / 'ran'} #"
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "config", "core.fsmonitor", run_by_git], check=True)
    subprocess.run(["git", "status"], check=True, capture_output=True)
    assert (place / "ran").exists(), "what git does in a repository with such settings"
    (place / "ran").unlink()
    eval_log.current_commit()
    assert not (place / "ran").exists()


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert eval_log.current_commit() is None
