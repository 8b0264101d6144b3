from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from zsre.runner.ahead import map_ahead, work_ahead


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


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as made:
        yield made


@pytest.mark.parametrize("most", [1, 3, 100])
def test_what_a_pool_makes_comes_in_order(pool: ThreadPoolExecutor, most: int) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.01 / (number + 1))
        return number * number

    assert list(map_ahead(pool, slow_at_first, range(20), most)) == [(number, number**2) for number in range(20)]


def test_a_pool_is_no_further_ahead_than_asked_for(pool: ThreadPoolExecutor) -> None:
    taken: list[int] = []
    items = (number for number in range(100) if not taken.append(number))  # type: ignore[func-returns-value]
    made = map_ahead(pool, str, items, 4)
    for number in range(3):
        assert next(made) == (number, str(number))
        assert len(taken) == number + 5
    made.close()


@pytest.mark.parametrize("at_fault", ["work", "items"])
def test_whatever_fails_is_raised_after_all_that_came_before(pool: ThreadPoolExecutor, at_fault: str) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        if at_fault == "items":
            raise ValueError("three")
        yield from range(3, 9)

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    made = map_ahead(pool, work, items(), 5)
    assert [next(made), next(made), next(made)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(ValueError, match="three"):
        next(made)


def test_what_a_pool_has_not_begun_is_dropped_when_the_reader_stops() -> None:
    begun: list[int] = []
    held = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number:
            held.wait(60)

    with ThreadPoolExecutor(1) as one:
        made = map_ahead(one, work, range(50), 9)
        next(made)
        threading.Timer(0.05, held.set).start()
        made.close()
    assert begun in ([0, 1], [0])
