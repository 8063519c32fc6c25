"""The result of one load: rates, percentiles, errors, and what the server used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spyglass_cli.load.loads import ClosedLoop, Load, OpenLoop, StreamLoop
from spyglass_cli.load.recording import Record
from spyglass_cli.load.server_usage import Usage

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)


@dataclass(frozen=True)
class Measured:
    """The requests of one load, and the usage of the server before and after; None if it is not known."""

    load: Load
    seconds: float
    record: Record
    before: Usage | None = None
    after: Usage | None = None

    @property
    def requests(self) -> int:
        """Number of requests that count."""
        return self.record.answered.count + self.record.failed.count

    @property
    def rate(self) -> float:
        """Results a second."""
        return self.record.answered.count / self.seconds

    @property
    def failed_share(self) -> float:
        """The part of the requests that ended in an error, in [0, 1]."""
        return self.record.failed.count / self.requests if self.requests else 0.0

    def milliseconds(self, percent: float) -> float | None:
        """Return what `percent` of the results did not exceed; None without results."""
        found = self.record.answered.percentile(percent)
        return None if found is None else found * 1e3

    @property
    def late_ms(self) -> float | None:
        """By how much 99 % of the requests of an open loop left late at most, in milliseconds."""
        found = self.record.late.percentile(99)
        return None if found is None else found * 1e3

    @property
    def cpu_ms(self) -> float | None:
        """Processor time of the server for each request, in milliseconds."""
        if self.before is None or self.after is None or not self.requests:
            return None
        return (self.after.cpu_seconds - self.before.cpu_seconds) / self.requests * 1e3

    @property
    def sent_per_second(self) -> float | None:
        """Bytes of messages sent a second; None without a server."""
        return self.record.sent.total / self.seconds if self.record.sent.messages else None

    @property
    def received_per_second(self) -> float | None:
        """Bytes of messages received a second; None if there were none."""
        return self.record.received.total / self.seconds if self.record.received.messages else None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values; times are in milliseconds."""
        closed = self.load if isinstance(self.load, ClosedLoop) else None
        opened = self.load if isinstance(self.load, OpenLoop) else None
        streamed = self.load if isinstance(self.load, StreamLoop) else None
        failed = self.record.failed.percentile(99)
        return {
            "concurrency": closed.concurrency if closed else None,
            "rate": opened.rate if opened else None,
            "streams": streamed.streams if streamed else None,
            "window": streamed.window if streamed else None,
            "seconds": self.seconds,
            "requests": self.requests,
            "results_per_second": self.rate,
            "latency_ms": {f"p{percent:g}": self.milliseconds(percent) for percent in PERCENTILES},
            "failed_p99_ms": None if failed is None else failed * 1e3,
            "codes": dict(sorted(self.record.codes.items())),
            "late_p99_ms": self.late_ms,
            "sent_bytes_per_second": self.sent_per_second,
            "received_bytes_per_second": self.received_per_second,
            "request_bytes": self.record.sent.mean,
            "response_bytes": self.record.received.mean,
            "server_cpu_ms": self.cpu_ms,
            "server_resident_bytes": None if self.after is None else self.after.resident,
        }
