"""``zsre-judge`` as a command: what it refuses, how it ends, and that its page describes it."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runner.drawn import OUTPUT, give, judge, make_run, make_triples, order, saved
from tests.runner.pages import first_cells, read_page, section
from zsre.relations.interrupts import INTERRUPTED
from zsre.runner import judge_cli, judged
from zsre.runner.files import temporary_path
from zsre.runner.judge import Answer

PAGE = section(read_page("eval.md"), "Judging triples of your own")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a run of five triples."""
    monkeypatch.chdir(tmp_path)
    make_run(Path("run"), make_triples(5))
    return tmp_path


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str, code: int = 2) -> str:
    """Return the error, the only thing said, that the command ends with."""
    given = args if "-o" in args else ("-o", str(OUTPUT), *args)
    give(monkeypatch, ["y"] * 9)
    assert judge_cli.main(["run", *given]) == code
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.removeprefix("zsre-judge: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--count", "0"], "--count 0: must be at least 1"),
        (["--count", "-5"], "--count -5: must be at least 1"),
        (["--seed", "-1"], "--seed -1: must be at least 0"),
        (["--only", "founded of"], "--only founded of: no triple of run has a relation of that name or"),
        (["-o", "s3://bucket/x"], "-o s3://bucket/x: judged triples are saved one by one, on this machine"),
        (["-o", "file://x"], "file://x: three slashes must stand before"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_meant(
    args: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(monkeypatch, capsys, *args).startswith(message)
    assert not OUTPUT.exists()


@pytest.mark.parametrize("args", [[], ["run"], ["-o", "x"], ["run", "-o", "x", "--count", "many"]])
def test_arguments_that_are_none(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert judge_cli.main(args) == 2
    assert capsys.readouterr().err.startswith("usage: zsre-judge ")


def test_folders_that_cannot_be_drawn_from(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def told(name: str) -> str:
        assert judge_cli.main([name, "-o", str(OUTPUT)]) == 2
        said = capsys.readouterr()
        assert said.out == "" and not OUTPUT.exists()
        return said.err.rstrip("\n").removeprefix(f"zsre-judge: error: {name}: ")

    Path("vectors").mkdir()
    Path("vectors/vectors.json").write_text("{}")
    make_run(Path("stopped"), make_triples(2), status="stopped")
    make_run(Path("empty"), [])
    make_run(Path("broken"), make_triples(2))
    Path("broken/part-00000.parquet").write_bytes(b"no")
    assert told("nothing").startswith("there is no such folder")
    assert told("run/run.json").startswith("is not a folder")
    assert told(".").startswith("is not the folder of a run of zsre-extract")
    assert told("vectors").startswith("holds vectors and no triples")
    assert told("stopped").startswith("holds a run that has not finished (its status is 'stopped')")
    assert told("empty").startswith("holds no triples")
    assert told("broken").startswith("zsre-judge: error: broken/part-00000.parquet: is damaged (")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"notes of mine\n", "judged.jsonl: is not labelled data, and is left alone; give another file with -o"),
        (b'{"id": "1", "text": "a corpus"}\n', "judged.jsonl: is not labelled data, and is left alone"),
        (b"\xff\xfe\x00", "judged.jsonl: is not labelled data, and is left alone"),
        (b'{"P1": [{"tokens": ["a"], "h": ["a", "Q1", [[0]]], "t": ["a", "Q1", [[0]]]}]}',
         "judged.jsonl: is labelled data of another format (fewrel), and is left alone"),
        (b'{"id": "1", "text": "a", "mentions": [], "pairs": []}\n{"id": "2"}\n', 'judged.jsonl, line 2: field "text"'),
        (gzip.compress(b'{"id": "1", "text": "a", "mentions": [], "pairs": []}\n'), "judged.jsonl: is compressed"),
    ],
    ids=["text", "corpus", "bytes", "fewrel", "a bad line", "gzip"],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_left_alone(
    content: bytes, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    OUTPUT.write_bytes(content)
    assert refused(monkeypatch, capsys).startswith(message)
    assert OUTPUT.read_bytes() == content


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("none/judged.jsonl", "there is no folder 'none': make it, or give another file with -o"),
        ("run", "is not a file"),
        (os.devnull, "is not a file"),
        ("run/run.json/judged.jsonl", ""),
        ("run/judged.jsonl", "lies in the folder of the run, which is zsre-extract's own; give another file with -o"),
        ("run/rejects.jsonl", "lies in the folder of the run"),
        ("inside", "lies in the folder of the run"),
        ("nowhere", "there is no folder '"),
        ("itself", "is a link that leads nowhere"),
        ("x" * 300, "cannot be written: "),
    ],
)
def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_asked(
    output: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for link, target in (("inside", "run/judged.jsonl"), ("nowhere", "none/x.jsonl"), ("itself", "itself")):
        if output == link:
            Path(link).symlink_to(target)
    assert refused(monkeypatch, capsys, "-o", output, code=4).startswith(f"{output}: {message}")


def test_a_file_without_leave_to_write_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    OUTPUT.touch(mode=0o400)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert refused(monkeypatch, capsys, code=4).startswith("judged.jsonl: may not be written to; change its permissi")
    assert OUTPUT.read_bytes() == b""


@pytest.mark.skipif(os.name == "nt", reason="links and permissions of POSIX")
def test_a_link_stays_one_and_its_file_keeps_its_permissions(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "kept").mkdir()
    target = place / "kept" / "answers.jsonl"
    target.touch(mode=0o640)
    target.chmod(0o640)
    OUTPUT.symlink_to(target)
    assert judge(monkeypatch, ["y", "n", "q"]) == 0
    assert OUTPUT.is_symlink() and len(target.read_bytes().splitlines()) == 2
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert not list(place.glob(".judged*")) and not list(target.parent.glob(".*"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions of POSIX, which bind no root")
def test_a_folder_without_leave_to_write_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "locked").mkdir(mode=0o500)
    assert "cannot be written: Permission denied" in refused(monkeypatch, capsys, "-o", "locked/judged.jsonl", code=4)


def test_an_answer_that_cannot_be_saved_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = judged.replace_file, []

    def full(path: Path, write: Any, mode: int | None) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, write, mode)

    monkeypatch.setattr(judged, "replace_file", full)
    assert judge(monkeypatch, ["y", "y", "y"]) == 4
    said = capsys.readouterr()
    assert "judged 1 of the 5 triples drawn: 1 right" in said.out
    assert said.err == (
        "zsre-judge: error: judged.jsonl: cannot be written: No space left on device; every answer before the last "
        "one is saved: mend that, then the same command goes on\n"
    )
    assert saved() == {order()[0]: True}


def test_what_something_else_wrote_meanwhile_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = judged.replace_file

    def disturbed(path: Path, write: Any, mode: int | None) -> None:
        real(path, write, mode)
        path.write_bytes(path.read_bytes() + b'{"id": "1", "text": "a", "mentions": [], "pairs": []}\n')

    monkeypatch.setattr(judged, "replace_file", disturbed)
    assert judge(monkeypatch, ["y", "n"]) == 4
    assert "something else has written to it meanwhile, so the last answer was not saved" in capsys.readouterr().err
    assert [json.loads(line)["text"] for line in OUTPUT.read_text().splitlines()][1:] == ["a"]


def test_an_interruption_is_told_with_what_the_answers_came_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(io.BytesIO):
        def readline(self, *args: Any) -> bytes:
            line = super().readline(*args)
            if line == b"^C\n":
                raise KeyboardInterrupt
            return line

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Interrupted(b"y\nn\n^C\n")))
    assert judge_cli.main(["run", "-o", str(OUTPUT)]) == INTERRUPTED == 130
    said = capsys.readouterr()
    assert "judged 2 of the 5 triples drawn: 1 right" in said.out
    assert said.err == "zsre-judge: interrupted; every answer is saved\n"
    assert saved() == dict(zip(order(), [True, False], strict=False))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_at_a_question_ends_the_command() -> None:
    command = [sys.executable, "-u", "-m", "zsre.runner.judge_cli", "run", "-o", str(OUTPUT)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write("y\n")
        process.stdin.flush()
        while "2 of 5" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "zsre-judge: interrupted; every answer is saved\n")
    assert "judged 1 of the 5 triples drawn" in out
    assert saved() == {order()[0]: True} and not temporary_path(OUTPUT).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the shell closes streams")
@pytest.mark.parametrize(
    ("streams", "code"),
    [("<&-", 0), ("</dev/null", 0), ("</dev/null >&-", 0), ("0>/dev/null", 2), (">/dev/full </dev/null", 4),
     ("</dev/null 2>&-", 0)],
)  # fmt: skip
def test_standard_streams_that_are_closed_or_full_are_told(streams: str, code: int) -> None:
    command = [sys.executable, "-m", "zsre.runner.judge_cli", "run", "-o", str(OUTPUT)]
    done = subprocess.run(["bash", "-c", f'"$0" "$@" {streams}', *command], check=False, capture_output=True)
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_whoever_stops_reading_has_quit() -> None:
    """As with ``| head``: answers that are still on their way are neither read nor saved."""
    command = [sys.executable, "-u", "-m", "zsre.runner.judge_cli", "run", "-o", str(OUTPUT)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(b"y\n")
        process.stdin.flush()
        while b"2 of 5" not in process.stdout.readline():
            pass
        process.stdout.close()
        process.stdin.write(b"y\n" * 9)
        process.stdin.close()
        error = process.stderr.read()
        assert (process.wait(timeout=60), error) == (0, b"")
    assert saved() == {order()[0]: True}


@pytest.mark.skipif(sys.platform == "win32", reason="the shell closes streams")
def test_nothing_is_asked_without_a_standard_output() -> None:
    command = [sys.executable, "-m", "zsre.runner.judge_cli", "run", "-o", str(OUTPUT)]
    shell = ["bash", "-c", 'yes y | "$0" "$@" >&-', *command]
    assert subprocess.run(shell, check=False, capture_output=True).returncode == 0
    assert not OUTPUT.exists()


def test_it_loads_little_before_the_arguments_are_right_and_never_what_it_does_not_need() -> None:
    code = (
        "import sys; from zsre.runner import judge_cli\n"
        "assert not {'numpy', 'pyarrow', 'rich', 'yaml'} & set(sys.modules), 'loads too much'\n"
        "assert judge_cli.main(['run', '-o', 'judged.jsonl']) == 0\n"
        "assert not {'spacy', 'torch', 'transformers'} & set(sys.modules), 'loads what it has no use for'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input="y\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_in_a_store_is_judged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fsspec")
    from zsre.runner.storage import RemoteFolder

    store = "fsspec+memory://zsre-judge/run"
    folder = RemoteFolder(store)
    for name in ("part-00000.parquet", "run.json"):
        content = Path("run", name).read_bytes()
        folder.write(name, lambda file, content=content: file.write(content))  # type: ignore[misc]
    give(monkeypatch, ["y"])
    assert judge_cli.main([store, "-o", str(OUTPUT)]) == 0
    assert saved() == {order()[0]: True}
    assert judge_cli.main(["fsspec+memory://zsre-judge/none", "-o", str(OUTPUT)]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_the_page_describes_every_flag_and_answer() -> None:
    actions = [action for action in judge_cli.build_parser()._actions if action.dest != "help"]
    flags = {option for action in actions for option in action.option_strings}
    assert first_cells(PAGE) == flags | {"triples"} | set(Answer)
    for action in actions:
        if action.option_strings:
            row = re.search(rf"^\| [^|]*`{action.option_strings[-1]}( [^`]+)?` \|(.*?) \|", PAGE, re.MULTILINE)
            assert row is not None, action.dest
            assert (row[1] or "").strip() == (action.metavar or "")
            default = {"output": "required", "only": "all", "relations": "", "version": ""}.get(
                action.dest, str(action.default)
            )
            assert row[2].strip() == default
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert described == {0, 1, 2, 4, INTERRUPTED}
