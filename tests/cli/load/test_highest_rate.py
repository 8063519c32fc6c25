"""The search for the highest rate, on a server whose limit is known."""

from __future__ import annotations

import pytest

from spyglass_cli.load.highest_rate import find_highest_rate
from spyglass_cli.load.loads import OpenLoop
from spyglass_cli.load.recording import Record
from spyglass_cli.load.results import Measured
from spyglass_client import Overloaded


class Server:
    """Takes 10 ms up to a rate of `limit`, and a second or an error above it."""

    def __init__(self, limit: float, *, refuses: bool = False) -> None:
        self.limit = limit
        self.refuses = refuses
        self.tried: list[float] = []

    def measure(self, rate: float) -> Measured:
        self.tried.append(rate)
        record = Record()
        for _ in range(1000):
            slow = rate > self.limit
            record.add(1.0 if slow else 0.01, Overloaded("full") if slow and self.refuses else None)
        return Measured(OpenLoop(rate), 1.0, record)


@pytest.mark.parametrize("limit", [3, 8, 100, 1234.5])
@pytest.mark.parametrize("refuses", [False, True])
def test_the_search_comes_within_5_percent(limit: float, refuses: bool) -> None:
    server = Server(limit, refuses=refuses)
    best = find_highest_rate(server.measure, 99, 50)
    assert best is not None and isinstance(best.load, OpenLoop)
    assert 0.94 * limit <= best.load.rate <= limit
    assert len(server.tried) <= 16


def test_the_search_ends_if_no_rate_holds() -> None:
    server = Server(0)
    assert find_highest_rate(server.measure, 99, 50) is None
    assert len(server.tried) <= 6
