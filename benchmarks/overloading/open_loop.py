"""Calls that leave at their own times, from one client process; a call costs it about 0.15 ms."""

from __future__ import annotations

import random
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
from numpy.typing import NDArray

from measuring.closed_loop import cpu_within
from measuring.outcomes import OK, ErrorSample
from measuring.targets import GrpcTarget, own_channel
from measuring.window import Window


@dataclass(frozen=True)
class OpenLoop:
    """`rate` calls a second at random times (a Poisson process), each with a deadline of `deadline` seconds.

    They are spread over `channels` connections, because a server limits the calls of one connection.
    """

    rate: float
    deadline: float
    channels: int
    seed: int


@dataclass(frozen=True)
class OpenCalls:
    """The calls that were due in a window, in the order of their ends; all arrays have one value a call.

    `due` counts in seconds from the window's begin. `waited` is the time from when the call was due to its
    end, `taken` that from when it was sent.
    """

    due: NDArray[np.float64]
    waited: NDArray[np.float64]
    taken: NDArray[np.float64]
    codes: NDArray[np.str_]
    reasons: Counter[str]
    retry_shares: dict[str, float | None]
    cpu_seconds: float


def run_open_loop(target: GrpcTarget, load: OpenLoop, window: Window) -> OpenCalls:
    """Send calls from the window's start to its end, and wait for their responses."""
    calls = _Calls(window)
    cpu: list[float] = []
    clock = threading.Thread(target=lambda: cpu.append(cpu_within(window)))
    with ExitStack() as stack:
        channels = [stack.enter_context(own_channel(target.address)) for _ in range(load.channels)]
        methods = [channel.unary_unary(target.method) for channel in channels]
        clock.start()
        for number, due in enumerate(_arrivals(load, window)):
            if (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            sent = time.monotonic()
            call = methods[number % len(methods)].future(target.payload, timeout=load.deadline)
            calls.started += 1
            call.add_done_callback(partial(calls.ended, due, sent))
        calls.wait(load.deadline + 10)
        clock.join()
    return calls.found(cpu[0])


def _arrivals(load: OpenLoop, window: Window) -> Iterator[float]:
    chance = random.Random(load.seed)
    due = window.start + chance.expovariate(load.rate)
    while due < window.end:
        yield due
        due += chance.expovariate(load.rate)


class _Calls:
    """Collects calls; `ended` runs in a thread of each channel."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._due, self._waited, self._taken = array("d"), array("d"), array("d")
        self._codes: list[str] = []
        self._errors = ErrorSample()
        self.started = 0
        self._ended = 0

    def ended(self, due: float, sent: float, call: grpc.Future) -> None:
        now = time.monotonic()
        code = call.code().name  # type: ignore[attr-defined]
        with self._lock:
            self._ended += 1
            if due < self._window.begin:
                return
            self._due.append(due - self._window.begin)
            self._waited.append(now - due)
            self._taken.append(now - sent)
            self._codes.append(code)
            if code != OK:
                self._errors.add(code, call)  # type: ignore[arg-type]

    def wait(self, seconds: float) -> None:
        """Wait for every call. Raises RuntimeError if one of them does not end."""
        end = time.monotonic() + seconds
        while self._ended < self.started:
            if time.monotonic() > end:
                raise RuntimeError(f"{self.started - self._ended} calls did not end at their deadline")
            time.sleep(0.05)

    def found(self, cpu_seconds: float) -> OpenCalls:
        codes = sorted(set(self._codes) - {OK})
        return OpenCalls(
            np.array(self._due),
            np.array(self._waited),
            np.array(self._taken),
            np.array(self._codes, dtype=np.str_),
            self._errors.reasons(),
            {code: self._errors.retry_share(code) for code in codes},
            cpu_seconds,
        )


def joined(parts: list[OpenCalls]) -> OpenCalls:
    """Return the calls of several processes as one."""
    reasons: Counter[str] = Counter()
    retry: dict[str, float | None] = {}
    for part in parts:
        reasons.update(part.reasons)
        retry.update(part.retry_shares)
    return OpenCalls(
        np.concatenate([part.due for part in parts]),
        np.concatenate([part.waited for part in parts]),
        np.concatenate([part.taken for part in parts]),
        np.concatenate([part.codes for part in parts]),
        reasons,
        retry,
        sum(part.cpu_seconds for part in parts),
    )
