"""A profile: the measured speed of one model on this machine, and the decisions that follow from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

# A batch size counts as the best if its throughput is within this part of the best one.
_GOOD_ENOUGH = 0.97
# Batches pay if they have this many times the throughput of single images: the first image of a batch waits
# for the last one.
_PAYS = 1.05
# A lone request uses all cores only for a speed-up of at least this, and for runs of at least this length:
# the additional threads take time from the requests that come next.
_WIDE_SPEED_UP = 1.3
_WIDE_SECONDS = 0.002
_MAX_RUNS = 100

Count = Annotated[int, Field(gt=0, le=65536)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


@dataclass(frozen=True)
class Way:
    """A way to run a network: `at_once` runs side by side, each of `batch` images on `threads` threads."""

    batch: Count
    threads: Count
    at_once: Count


@dataclass(frozen=True)
class MeasuredWay:
    """A way to run a network, and the seconds that one of its runs takes."""

    way: Way
    seconds: Seconds

    @property
    def images_per_second(self) -> float:
        """The images of all runs side by side, per second."""
        return self.way.batch * self.way.at_once / self.seconds


@dataclass(frozen=True)
class Profile:
    """The measured ways to run one model. A way whose seconds are not known is not in the table."""

    # ISO 8601, UTC.
    measured: Annotated[str, Field(max_length=40)]
    # Has the way with one image alone on the fewest threads. No way occurs twice.
    runs: Annotated[tuple[MeasuredWay, ...], Field(max_length=_MAX_RUNS)]

    def __post_init__(self) -> None:
        """Raise ValueError if the table lacks the run of one image, or has a way twice."""
        if len({run.way for run in self.runs}) != len(self.runs):
            raise ValueError("a profile has each way to run once")
        if not any(run.way == self._single for run in self.runs):
            raise ValueError("a profile has the time of one image alone")

    @property
    def image_seconds(self) -> float:
        """The seconds of a run of one image, alone, on as many threads as a busy server gives it."""
        return self._seconds(self._single)

    @property
    def max_batch(self) -> int:
        """The largest batch that a busy server should form; 1 if batches do not pay.

        It is the smallest size whose throughput is within 3 % of the best one, which must be 5 % above that
        of single images.
        """
        busy = throughputs(self.runs)
        best = max(busy.values(), default=0.0)
        if 1 not in busy or best < _PAYS * busy[1]:
            return 1
        return min(size for size, found in busy.items() if found >= _GOOD_ENOUGH * best)

    @property
    def wide_threads(self) -> int:
        """The threads that a run uses if no other request needs the cores: all of them, or those of any run.

        All of them only if a run of one image is then at least 1.3 times faster, and takes at least 2 ms on
        fewer.
        """
        wide = Way(1, max(run.way.threads for run in self.runs), 1)
        narrow_seconds = self._seconds(self._single)
        measured = any(run.way == wide for run in self.runs)
        if measured and narrow_seconds >= max(_WIDE_SECONDS, _WIDE_SPEED_UP * self._seconds(wide)):
            return wide.threads
        return self._single.threads

    @property
    def wide(self) -> bool:
        """Whether a run uses more threads if no other request needs the cores."""
        return self.wide_threads > self._single.threads

    @property
    def _single(self) -> Way:
        return Way(1, min((run.way.threads for run in self.runs), default=1), 1)

    def _seconds(self, way: Way) -> float:
        return next(run.seconds for run in self.runs if run.way == way)


def throughputs(runs: Iterable[MeasuredWay]) -> dict[int, float]:
    """Return the images per second of a busy server by the size of its batches.

    A busy server has the most runs side by side, on the fewest threads.
    """
    ways = list(runs)
    threads = min((run.way.threads for run in ways), default=1)
    narrow = [run for run in ways if run.way.threads == threads]
    at_once = max((run.way.at_once for run in narrow), default=1)
    return {run.way.batch: run.images_per_second for run in narrow if run.way.at_once == at_once}
