from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

from trials.runs import TrialError
from trials.ways import kill_a_worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="goes by /proc")
#: A driver, a process between the two as Ray has it, and a worker, whose end makes the driver say so and end.
_DRIVER: Final = """(bash -c '(exec -a "ray::ShardWorker.work" sleep 60) & echo ready; wait $!; echo $?'; true); true"""


@contextmanager
def _driver() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        ["bash", "-c", _DRIVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == "ready\n"
        try:
            yield driver
        finally:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)


def test_only_a_worker_of_the_driver_is_killed() -> None:
    with ExitStack() as stack:
        before, driver, after = (stack.enter_context(_driver()) for _ in range(3))
        kill_a_worker(driver.pid)
        assert driver.communicate(timeout=10)[0] == "137\n"
        assert (before.poll(), after.poll()) == (None, None)
        with pytest.raises(TrialError, match=f"no worker of process {driver.pid} was found"):
            kill_a_worker(driver.pid)
        for other in (before, after):
            kill_a_worker(other.pid)
