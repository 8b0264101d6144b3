"""Real processes: what they give, and what happens when one of them, or the first, is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from zsre.relations.errors import WorkerError
from zsre.runner import workers as workers_module
from zsre.runner.pipeline import SpacyPipeline, load_pipeline
from zsre.runner.workers import WorkerPipeline

Serve = Callable[[Connection, str], None]
_serve = workers_module._serve
TEXT = "Bill Gates founded Microsoft in Albuquerque.  He left in 2008. 😀 Anna met Bob Jones."


@pytest.fixture(scope="module")
def pipeline() -> SpacyPipeline:
    return load_pipeline()


@pytest.fixture
def workers(pipeline: SpacyPipeline) -> Iterator[WorkerPipeline]:
    made = WorkerPipeline(pipeline, 2)
    yield made
    made.close()


@pytest.fixture
def serving(pipeline: SpacyPipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Serve], WorkerPipeline]]:
    """Return a function that makes one process that serves in another way."""
    with ExitStack() as ending:

        def make(serve: Serve) -> WorkerPipeline:
            monkeypatch.setattr(workers_module, "_serve", serve)
            return ending.enter_context(closing(WorkerPipeline(pipeline, 1)))

        yield make


def test_several_processes_give_the_same_in_order(pipeline: SpacyPipeline, workers: WorkerPipeline) -> None:
    texts = [f"{TEXT} Then Paul Allen left number {number}." for number in range(300)]
    for find_entities in (True, False):
        assert list(workers.annotate(texts, find_entities)) == list(pipeline.annotate(texts, find_entities))
    assert (workers.name, workers.labels) == (pipeline.name, pipeline.labels)
    assert list(workers.annotate([], True)) == []


def test_texts_are_read_ahead_by_two_batches_a_process(workers: WorkerPipeline) -> None:
    taken: list[int] = []

    def texts() -> Iterator[str]:
        for number in range(10_000):
            taken.append(number)
            yield "Bill left."

    next(workers.annotate(texts(), False))
    assert len(taken) == 4 * 64


def test_stopping_early_leaves_no_process_waiting(workers: WorkerPipeline) -> None:
    found = workers.annotate((TEXT * 10 for _ in range(1000)), True)
    next(found)
    workers.close()
    assert len(workers.processes) == 2 and not any(map(_runs, workers.processes))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_process_is_an_error_and_not_a_wait(workers: WorkerPipeline) -> None:
    found = workers.annotate((TEXT * 10 for _ in range(1000)), True)
    next(found)
    os.kill(workers.processes[0], signal.SIGKILL)
    with pytest.raises(WorkerError, match="a spaCy process died"):
        list(found)


def test_a_process_killed_amid_its_answer_is_an_error_and_not_a_wait(
    serving: Callable[[Serve], WorkerPipeline],
) -> None:
    with pytest.raises(WorkerError, match="a spaCy process died"):
        list(serving(_die_amid_the_answer).annotate([TEXT], True))


def _die_amid_the_answer(pipe: Connection, _: str) -> None:
    """Send a message's length and no more than the beginning of the message."""
    pipe.recv()
    os.write(pipe.fileno(), (1000).to_bytes(4, "big") + b"beginning")


class UnpicklableError(Exception):
    """Comes out of a pickle as a TypeError."""

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(f"{detail} in {place}")


def _raise(spec: str) -> None:
    raise UnpicklableError("row 7", "no verb")


def _cannot_load(pipe: Connection, spec: str) -> None:
    workers_module.load_pipeline = _raise  # type: ignore[assignment]
    _serve(pipe, spec)


def test_what_cannot_be_loaded_or_sent_is_told_all_the_same(
    serving: Callable[[Serve], WorkerPipeline], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkerError, match="a spaCy process failed: UnpicklableError: no verb in row 7"):
        list(serving(_cannot_load).annotate([TEXT], True))
    assert "in _raise" in capfd.readouterr().err


def test_what_a_process_raises_is_told_with_where_it_was(
    serving: Callable[[Serve], WorkerPipeline], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkerError, match=r"a spaCy process failed: ValueError: \[E1041\]"):
        list(serving(_serve).annotate([["no text"]], True))  # type: ignore[list-item]
    assert "in annotate_batch" in capfd.readouterr().err


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc")
def test_no_process_outlives_the_first() -> None:
    code = (
        "from zsre.runner.pipeline import load_pipeline; from zsre.runner.workers import WorkerPipeline; "
        "workers = WorkerPipeline(load_pipeline(), 2); list(workers.annotate(['Bill left.'] * 500, False)); "
        "print(*workers.processes, flush=True); input()"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    others = [int(process) for process in first.stdout.readline().split()]
    assert len(others) == 2 and all(map(_runs, others))
    first.kill()
    first.communicate()
    until = time.monotonic() + 10
    while any(map(_runs, others)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_runs, others))


def _runs(process: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
