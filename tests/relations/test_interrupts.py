from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from zsre.relations.interrupts import interrupts_deferred, sigterm_interrupts


def test_an_interrupt_is_heard_at_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt):
        with interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
            done.append("all of the body")
        done.append("what follows")
    assert done == ["all of the body"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_it_is_ignored_it_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_deferred():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_hear_of_nothing() -> None:
    def body() -> str:
        with interrupts_deferred():
            return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(body).result() == "done"


def test_sigterm_interrupts_as_ctrl_c_does() -> None:
    usual = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is usual


def test_in_other_threads_sigterm_stays_as_it_is() -> None:
    def body() -> object:
        with sigterm_interrupts():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(body).result() is signal.getsignal(signal.SIGTERM)
