"""What a load test measures, in histograms that processes can send to each other and add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram

from spyglass_cli.load.traffic import Bytes
from spyglass_contract.errors import SpyglassError

# From a microsecond to an hour, with an error of at most 0.1 %.
_LOWEST, _HIGHEST, _DIGITS = 1, 3_600_000_000, 3
_PER_SECOND = 1_000_000

ANSWERED = "OK"


class Times:
    """Durations, as a histogram (http://hdrhistogram.org)."""

    def __init__(self, encoded: bytes | None = None) -> None:
        self._histogram = HdrHistogram(_LOWEST, _HIGHEST, _DIGITS)
        if encoded is not None:
            self._histogram.decode_and_add(encoded)

    def add(self, seconds: float) -> None:
        """Record a duration; one below a microsecond or above an hour counts as that."""
        self._histogram.record_value(min(max(round(seconds * _PER_SECOND), _LOWEST), _HIGHEST))

    def merge(self, other: Times) -> None:
        """Add the durations of `other`."""
        self._histogram.add(other._histogram)

    @property
    def count(self) -> int:
        """Number of durations."""
        return int(self._histogram.get_total_count())

    def percentile(self, percent: float) -> float | None:
        """Return in seconds what `percent` of the durations do not exceed; None if there are none."""
        if not self.count:
            return None
        return float(self._histogram.get_value_at_percentile(percent)) / _PER_SECOND

    def encode(self) -> bytes:
        """Return the histogram for `Times(encoded)`."""
        return bytes(self._histogram.encode())


@dataclass
class Record:
    """The requests of one process or of all.

    `answered` holds the time of each response with a result, and `failed` that of each error; `codes` counts
    both, errors by their reason. `late` holds by how much requests of an open loop left later than planned.
    `sent` and `received` are the bytes of the messages, if there is a server.
    """

    answered: Times = field(default_factory=Times)
    failed: Times = field(default_factory=Times)
    late: Times = field(default_factory=Times)
    codes: Counter[str] = field(default_factory=Counter)
    sent: Bytes = field(default_factory=Bytes)
    received: Bytes = field(default_factory=Bytes)

    def add(self, seconds: float, error: SpyglassError | None) -> None:
        """Record one response, `seconds` after its request was due."""
        (self.answered if error is None else self.failed).add(seconds)
        self.codes[ANSWERED if error is None else error.reason] += 1

    def merge(self, other: Record) -> None:
        """Add the requests of `other`."""
        self.answered.merge(other.answered)
        self.failed.merge(other.failed)
        self.late.merge(other.late)
        self.codes.update(other.codes)
        self.sent.merge(other.sent)
        self.received.merge(other.received)

    def __getstate__(self) -> tuple[list[bytes], dict[str, int], tuple[Bytes, Bytes]]:
        times = [each.encode() for each in (self.answered, self.failed, self.late)]
        return times, dict(self.codes), (self.sent, self.received)

    def __setstate__(self, state: tuple[list[bytes], dict[str, int], tuple[Bytes, Bytes]]) -> None:
        times, codes, (self.sent, self.received) = state
        self.answered, self.failed, self.late = map(Times, times)
        self.codes = Counter(codes)
