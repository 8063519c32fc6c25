"""The figures of all rounds, and their medians."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comparing.rounds import Figures

LIMIT, PLAIN = "in process", "plain"
# What works without a server.
LIMITS = (LIMIT, "in processes")


@dataclass(frozen=True)
class Measured:
    """One round of one server with one load."""

    load: str
    concurrency: int
    server: str
    figures: Figures


@dataclass(frozen=True)
class Row:
    """The medians of a server with one load and a number of callers; the ratios are those of each round.

    `of_plain` compares processor times, `of_limit` throughputs, and is None where there is none to compare.
    """

    server: str
    cpu_ms: float
    lowest_cpu_ms: float
    highest_cpu_ms: float
    of_plain: float | None
    per_second: float
    of_limit: float | None
    p50_ms: float
    p99_ms: float
    client_cpu_ms: float
    failed: int


@dataclass
class Results:
    """A run. `differences` holds the largest difference of a score from the in-process one."""

    machine: dict[str, Any]
    versions: dict[str, dict[str, str]]
    options: dict[str, Any]
    measured: list[Measured] = field(default_factory=list)
    differences: list[tuple[str, str, float | None]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `serving.py --json` wrote. Raises OSError, ValueError, KeyError."""
        values = json.loads(path.read_text())
        measured = [
            Measured(**{**each, "figures": Figures(**each["figures"])}) for each in values.pop("measured")
        ]
        differences = [(load, server, each) for load, server, each in values.pop("differences")]
        return cls(**values, measured=measured, differences=differences)

    @property
    def loads(self) -> list[str]:
        """The loads in their order."""
        return list(dict.fromkeys(each.load for each in self.measured))

    @property
    def concurrencies(self) -> list[int]:
        """The numbers of callers in their order."""
        return list(dict.fromkeys(each.concurrency for each in self.measured))

    def rows(self, load: str, concurrency: int) -> list[Row]:
        """Return a row for each server, in the order of `versions`."""
        rounds = self._rounds(load, concurrency)
        limit, plain = rounds.get(LIMIT), rounds.get(PLAIN)
        return [
            _row(server, rounds[server], plain, limit if server != LIMIT else None)
            for server in self.versions
            if server in rounds
        ]

    def _rounds(self, load: str, concurrency: int) -> dict[str, list[Figures]]:
        found: dict[str, list[Figures]] = {}
        for each in self.measured:
            if (each.load, each.concurrency) == (load, concurrency):
                found.setdefault(each.server, []).append(each.figures)
        return found


def _row(server: str, rounds: list[Figures], plain: list[Figures] | None, limit: list[Figures] | None) -> Row:
    cpu = [each.cpu_ms for each in rounds]
    return Row(
        server,
        statistics.median(cpu),
        min(cpu),
        max(cpu),
        _ratio(cpu, plain and [each.cpu_ms for each in plain]),
        statistics.median(each.per_second for each in rounds),
        _ratio([each.per_second for each in rounds], limit and [each.per_second for each in limit]),
        statistics.median(each.p50_ms for each in rounds),
        statistics.median(each.p99_ms for each in rounds),
        statistics.median(each.client_cpu_ms for each in rounds),
        sum(each.failed for each in rounds),
    )


def _ratio(values: list[float], others: list[float] | None) -> float | None:
    if not others:
        return None
    return statistics.median(value / other for value, other in zip(values, others, strict=True))
