"""Networks of known speed, clocks that they advance, and a server load that a test sets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_server.engine.profiling.measuring import Meters

Compute = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class ThreadTime(threading.local):
    """The processor time of each thread, in seconds."""

    now = 0.0


@dataclass
class Machine:
    """Clocks and memory of a machine on which only networks take time."""

    thread_time: ThreadTime = field(default_factory=ThreadTime)
    wall: float = 0.0
    allocated: int = 0
    lock: Lock = field(default_factory=Lock)

    @property
    def meters(self) -> Meters:
        return Meters(lambda: self.thread_time.now, lambda: self.wall, lambda: self.allocated)

    def pass_time(self, seconds: float) -> None:
        self.thread_time.now += seconds
        with self.lock:
            self.wall += seconds


@dataclass
class FakeLoad:
    """The requests of a server."""

    inside: int = 0
    admitted: int = 0


class NoWaiting(Event):
    """An event that is never set, and whose `wait` takes no time."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


class SpeedNetwork:
    """A network whose run takes `seconds(batch, threads)` of the machine's time."""

    provider = "CPUExecutionProvider"

    def __init__(
        self,
        card: ModelCard,
        compute: Compute,
        machine: Machine,
        seconds: Callable[[int, int], float],
        threads: int = 1,
    ) -> None:
        self.card = card
        self.compute = compute
        self.machine = machine
        self.seconds = seconds
        self.threads = threads
        self.batches: list[int] = []
        # Called before each run with the number of images.
        self.before: Callable[[int], object] = lambda size: None

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.before(len(pixels))
        self.batches.append(len(pixels))
        self.machine.pass_time(self.seconds(len(pixels), self.threads))
        return self.compute(pixels)
