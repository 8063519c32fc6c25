"""The two kinds of load: a fixed number of callers, or a fixed rate of requests."""

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
        used = min(processes, self.concurrency)
        share, rest = divmod(self.concurrency, used)
        return [ClosedLoop(share + (index < rest)) for index in range(used)]

    def __str__(self) -> str:
        return f"{self.concurrency} callers" if self.concurrency > 1 else "1 caller"


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


Load = ClosedLoop | OpenLoop
