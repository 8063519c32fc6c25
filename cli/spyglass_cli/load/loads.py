"""The kinds of load: a fixed number of callers or streams, or a fixed rate of requests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Spacing = Literal["poisson", "even"]


@dataclass(frozen=True)
class ClosedLoop:
    """`concurrency` callers; each sends its next request when it has the response to the last one."""

    concurrency: int

    def parts(self, processes: int) -> list[ClosedLoop]:
        """Return what each of at most `processes` processes does; each has at least one caller."""
        return [ClosedLoop(share) for share in _shares(self.concurrency, processes)]

    def __str__(self) -> str:
        return f"{self.concurrency} callers" if self.concurrency > 1 else "1 caller"


@dataclass(frozen=True)
class StreamLoop:
    """`streams` calls with many images; each keeps `window` of them under way."""

    streams: int
    window: int

    def parts(self, processes: int) -> list[StreamLoop]:
        """Return what each of at most `processes` processes does; each has at least one stream."""
        return [StreamLoop(share, self.window) for share in _shares(self.streams, processes)]

    def __str__(self) -> str:
        return f"{self.streams} streams" if self.streams > 1 else "1 stream"


@dataclass(frozen=True)
class OpenLoop:
    """`rate` requests a second, whether or not the earlier ones have their responses.

    They arrive at random, as from many independent callers (a Poisson process), or evenly spaced. `seed`
    fixes the arrivals.
    """

    rate: float
    spacing: Spacing = "poisson"
    seed: int = 0

    def parts(self, processes: int) -> list[OpenLoop]:
        """Return what each of `processes` processes does: their arrivals together are those of this load."""
        return [
            replace(self, rate=self.rate / processes, seed=self.seed * processes + index)
            for index in range(processes)
        ]

    def __str__(self) -> str:
        return f"{self.rate:g}/s"


Load = ClosedLoop | OpenLoop | StreamLoop


def _shares(count: int, processes: int) -> list[int]:
    """Spread `count` over at most `processes`; each share is at least 1."""
    used = min(processes, count)
    share, rest = divmod(count, used)
    return [share + (index < rest) for index in range(used)]
