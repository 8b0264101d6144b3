from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator

import pytest

from zsre.runner.ahead import work_ahead


def _numbers(count: int, given: list[int] | None = None) -> Callable[[threading.Event], Generator[int]]:
    def begin(stopped: threading.Event) -> Generator[int]:
        for number in range(count):
            if given is not None:
                given.append(number)
            yield number

    return begin


def _wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize("most", [1, 3, 100])
def test_items_come_in_order(most: int) -> None:
    assert list(work_ahead(_numbers(50), most)) == list(range(50))


def test_no_more_items_are_worked_out_than_asked_for() -> None:
    given: list[int] = []
    items = work_ahead(_numbers(100, given), 2)
    next(items)
    # Two wait, and one more is worked out that has nowhere to wait.
    _wait_until(lambda: len(given) == 4)
    time.sleep(0.05)
    assert len(given) == 4
    items.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    def begin(stopped: threading.Event) -> Generator[int]:
        yield 1
        yield 2
        raise ValueError("three")

    items = work_ahead(begin, 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="three"):
        next(items)


def test_a_reader_that_stops_early_stops_the_thread_and_closes_what_it_reads() -> None:
    closed = threading.Event()

    def begin(stopped: threading.Event) -> Generator[int]:
        try:
            while not stopped.is_set():
                yield 0
        finally:
            closed.set()

    items = work_ahead(begin, 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert not any(thread.name == "zsre-ahead" for thread in threading.enumerate())
