"""A closed loop in one client process: callers that wait for each response before the next request."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable

import numpy as np

from measuring.calls import Calls
from measuring.targets import CallFailed, Target
from measuring.window import Window, wait_until


def run_closed_loop(target: Target, callers: int, window: Window) -> Calls:
    """Call until the window ends, each caller in a thread; return the calls that ended in the window."""
    found: list[tuple[array[float], Counter[str]]] = [(array("d"), Counter()) for _ in range(callers)]

    def loop(call: Callable[[], bytes], latencies: array[float], failures: Counter[str]) -> None:
        wait_until(window.start)
        while (started := time.monotonic()) < window.end:
            failure = None
            try:
                call()
            except CallFailed as error:
                failure = str(error)
            now = time.monotonic()
            if not window.begin <= now <= window.end:
                continue
            if failure is None:
                latencies.append(now - started)
            else:
                failures[failure] += 1

    with target.connect(callers) as calls:
        threads = [
            threading.Thread(target=loop, args=(call, *part)) for call, part in zip(calls, found, strict=True)
        ]
        for thread in threads:
            thread.start()
        cpu_seconds = cpu_within(window)
        for thread in threads:
            thread.join()
    failures: Counter[str] = sum((each for _, each in found), Counter())
    return Calls(np.concatenate([np.array(each) for each, _ in found]), failures, cpu_seconds)


def cpu_within(window: Window) -> float:
    """Wait until the end of the window; return the processor time of this process in it, in seconds."""
    wait_until(window.begin)
    before = time.process_time()
    wait_until(window.end)
    return time.process_time() - before
