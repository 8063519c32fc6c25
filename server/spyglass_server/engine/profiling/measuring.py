"""The measurement of a network: several rounds over all ways to run it, within a bounded time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.input_spec import channels
from spyglass_contract.model.certificate import replay_tolerance
from spyglass_server.engine.capacity.memory import returning_memory
from spyglass_server.engine.models.model import Network
from spyglass_server.engine.profiling.profile import MeasuredWay, Way, throughputs
from spyglass_server.engine.profiling.quiet import Quiet, Stopped
from spyglass_server.engine.profiling.timing import Timing

_log = logging.getLogger(__name__)

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
_ROUNDS, _FULL_ROUNDS = 15, 2
# A measurement repeats short runs for this time: one of them takes no longer than noise.
_SAMPLE_SECONDS = 0.02
# No longer run is measured: a request that comes during it would wait, as would those of such a batch.
_LONGEST_RUN_SECONDS = 0.1
# A size is clearly worse if the best one has this many times its images per second: only the full rounds
# measure it.
_CLEARLY_WORSE = 1.25
# After two sizes in a row without this gain over the best smaller one, larger ones are not measured.
_GAIN = 1.03
# Larger sizes are not measured if the runs side by side would take more than this part of the memory.
_MEMORY_PART = 1 / 128

Clock = Callable[[], float]


@dataclass(frozen=True)
class Bounds:
    """What a measurement covers, and what it may take."""

    # Runs of a busy server side by side, and the threads of each.
    workers: int
    threads: int
    # The threads of a run that has all cores.
    wide_threads: int
    # The largest batch that the network takes.
    max_batch: int
    # The time of all runs, in seconds.
    seconds: float
    # The memory that the process may use, in bytes.
    memory: int


@dataclass(frozen=True)
class Meters:
    """The clocks of a measurement in seconds, and the bytes in use by the process."""

    # The processor time of the calling thread: what other processes do does not count.
    thread_clock: Clock = time.thread_time
    wall_clock: Clock = time.perf_counter
    allocated: Callable[[], int] = lambda: 0


class Measuring:
    """One measurement of one network.

    A round measures each way once, so that a change of the machine's speed meets all of them. The result is
    the least time of each way: noise only adds time.
    """

    def __init__(
        self,
        open_network: Callable[[int], Network],
        bounds: Bounds,
        quiet: Quiet,
        meters: Meters,
    ) -> None:
        """`open_network` opens the network with a number of threads; the measurement has it for itself."""
        self._open_network = open_network
        self._bounds = bounds
        self._quiet = quiet
        self._meters = meters
        self._left = bounds.seconds
        self._networks: dict[int, Network] = {}
        self._seconds: dict[Way, float] = {}
        self._timing = Timing(bounds.workers, lambda: quiet.broken)

    def measure(self) -> tuple[MeasuredWay, ...]:
        """Return the measured ways, at least that of one image alone.

        Raises Stopped when the server ends, and the errors of a network that cannot run one image.
        """
        try:
            for threads in {self._bounds.threads, self._bounds.wide_threads}:
                self._quiet.wait()
                self._networks[threads] = self._timing.call(partial(self._open_network, threads))
            self._pixels = _noise(self._networks[self._bounds.threads], self._bounds.max_batch)
            self._first_round()
            for number in range(_ROUNDS):
                for way in tuple(self._seconds):
                    if number < _FULL_ROUNDS or way.batch == 1 or not self._is_clearly_worse(way.batch):
                        self._sample(way)
        finally:
            self._timing.close()
            with returning_memory():
                self._networks.clear()
        return self._measured()

    def _first_round(self) -> None:
        """Measure every way of each size, up to the last size that may be worth it."""
        best, without_gain = 0.0, 0
        for size in BATCH_SIZES:
            if size > self._bounds.max_batch:
                return
            before = self._meters.allocated()
            try:
                if not self._warm_up(size):
                    return
                for way in self._ways(size):
                    # The first time tells how often the others repeat the run.
                    for _ in range(3):
                        self._sample(way)
            except Stopped:
                raise
            except Exception:
                if size == 1:
                    raise
                _log.info("batches of %d images fail", size, exc_info=True)
                self._forget(size)
                return
            found = throughputs(self._measured()).get(size, 0.0)
            without_gain = 0 if found > _GAIN * best else without_gain + 1
            best = max(best, found)
            grown = self._meters.allocated() - before
            if without_gain == 2 or self._is_last(size, grown):
                return

    def _is_last(self, size: int, grown: int) -> bool:
        """Return whether twice the size would take too long, or too much memory: this one took `grown`."""
        known = self._seconds.get(Way(size, self._bounds.threads, 1))
        is_long = known is None or 2 * known > _LONGEST_RUN_SECONDS
        return is_long or 2 * grown > self._bounds.memory * _MEMORY_PART

    def _ways(self, size: int) -> Iterator[Way]:
        bounds = self._bounds
        yield Way(size, bounds.threads, 1)
        if bounds.workers > 1:
            yield Way(size, bounds.threads, bounds.workers)
        # A request that has all cores is alone.
        if size == 1 and bounds.wide_threads > bounds.threads:
            yield Way(1, bounds.wide_threads, 1)

    def _warm_up(self, size: int) -> bool:
        """Run a new size once; False: a row of the batch differs from the output of its image alone."""
        for threads in {way.threads for way in self._ways(size)}:
            network = self._networks[threads]
            self._quiet.wait()
            began = self._meters.wall_clock()
            rows = self._timing.call(partial(network.run, self._pixels[:size]))
            self._left -= self._meters.wall_clock() - began
            if size > 1 and not self._agrees(network, rows):
                _log.warning(
                    "%s: an image in a batch of %d gets another output than alone", network.card.name, size
                )
                return False
        return True

    def _agrees(self, network: Network, rows: NDArray[np.float32]) -> bool:
        """Return whether the last row is the output of the last image alone."""
        size = len(rows)
        alone = self._timing.call(partial(network.run, self._pixels[size - 1 : size]))
        return bool(np.allclose(rows[-1:], alone, rtol=0, atol=replay_tolerance(network.card)))

    def _sample(self, way: Way) -> None:
        """Measure one way when the server is quiet, unless the time that is left is too short.

        One image alone is measured once in any case.
        """
        known = self._seconds.get(way, 0.0)
        if self._left <= known and (known or way.batch > 1 or way.at_once > 1):
            return
        network = self._networks[way.threads]
        run = partial(network.run, self._pixels[: way.batch])
        clock = self._clock(network, way)
        repeats = max(1, ceil(_SAMPLE_SECONDS / known)) if known else 1
        while True:
            self._quiet.wait()
            seconds = self._timing.seconds(run, clock, at_once=way.at_once, repeats=repeats)
            self._quiet.record(interrupted=seconds is None)
            if seconds is not None:
                break
        self._left -= seconds * repeats
        self._seconds[way] = min(self._seconds.get(way, seconds), seconds)

    def _clock(self, network: Network, way: Way) -> Clock:
        """Return the clock that counts all work of a run: the thread's own, if the run has no other."""
        alone = way.threads == 1 and network.provider == "CPUExecutionProvider"
        return self._meters.thread_clock if alone else self._meters.wall_clock

    def _is_clearly_worse(self, size: int) -> bool:
        found = throughputs(self._measured())
        return size in found and found[size] * _CLEARLY_WORSE < max(found.values())

    def _forget(self, size: int) -> None:
        self._seconds = {way: seconds for way, seconds in self._seconds.items() if way.batch != size}

    def _measured(self) -> tuple[MeasuredWay, ...]:
        return tuple(MeasuredWay(way, seconds) for way, seconds in sorted(self._seconds.items(), key=_order))


def _order(item: tuple[Way, float]) -> tuple[int, int, int]:
    way = item[0]
    return way.batch, way.threads, way.at_once


def _noise(network: Network, size: int) -> NDArray[np.uint8]:
    spec = network.card.input
    shape = (min(size, BATCH_SIZES[-1]), spec.height, spec.width, channels(spec))
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
