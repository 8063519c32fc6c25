"""The deadline of one request, from its field `timeout`, within the deadline of its call."""

from __future__ import annotations

import time

from google.protobuf.duration_pb2 import Duration

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.segment_pb2 import SegmentRequest
from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.call import Call

# No lock can wait for the longest durations. A longer timeout than this sets no deadline.
_ENDLESS_SECONDS = 1e8
_NANOS = 1_000_000_000


def with_own_deadline(call: Call, request: ClassifyRequest | HeatmapRequest | SegmentRequest) -> Call:
    """Return a call for one request. It ends when `call` ends, or when the request's `timeout` has passed.

    Raises InvalidInput if `timeout` is not more than 0.
    """
    if not request.HasField("timeout"):
        return call
    seconds = _seconds(request.timeout)
    return call.until(time.monotonic() + seconds) if seconds < _ENDLESS_SECONDS else call


def _seconds(timeout: Duration) -> float:
    seconds: float = timeout.seconds + timeout.nanos / _NANOS
    if seconds <= 0 or not 0 <= timeout.nanos < _NANOS:
        raise InvalidInput(
            f"timeout must be more than 0 seconds and have 0 to {_NANOS - 1} nanos, not {timeout.seconds} "
            f"seconds and {timeout.nanos} nanos",
            reason="TIMEOUT_INVALID",
            field="timeout",
        )
    return seconds
