"""The times at which the requests of an open loop are due."""

from __future__ import annotations

import random
from collections.abc import Iterator

from spyglass_cli.load.loads import OpenLoop


def arrivals(load: OpenLoop, seconds: float) -> Iterator[float]:
    """Yield the times of the requests, in seconds from 0 to `seconds`, in order.

    The gaps between the arrivals of a Poisson process have an exponential distribution with mean 1/rate.
    """
    gap = 1 / load.rate
    chance = random.Random(load.seed)
    # Even arrivals of several processes must not fall together.
    time = gap * chance.random() if load.spacing == "even" else chance.expovariate(load.rate)
    while time < seconds:
        yield time
        time += gap if load.spacing == "even" else chance.expovariate(load.rate)
