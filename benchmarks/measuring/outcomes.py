"""The status of calls, and what their errors say."""

from __future__ import annotations

from collections import Counter

import grpc

from google.rpc import error_details_pb2, status_pb2

OK = "OK"
# Errors whose details are read; reading all of them would make the client a part of the load.
_READ = 200
_DETAILS = "grpc-status-details-bin"


class ErrorSample:
    """The reasons of the first errors of each status, and how many of these say when to retry."""

    def __init__(self) -> None:
        self._trailers: dict[str, list[bytes]] = {}

    def add(self, code: str, call: grpc.Call) -> None:
        """Keep the details of an error."""
        kept = self._trailers.setdefault(code, [])
        if len(kept) < _READ:
            details = [value for key, value in call.trailing_metadata() or () if key == _DETAILS]
            kept.append(bytes(details[0]) if details else b"")

    def reasons(self) -> Counter[str]:
        """Return the number of kept errors of each `STATUS REASON`."""
        found: Counter[str] = Counter()
        for code, trailers in self._trailers.items():
            for trailer in trailers:
                found[f"{code} {_reason(trailer)}".strip()] += 1
        return found

    def retry_share(self, code: str) -> float | None:
        """Return the part of the kept errors of a status that carry RetryInfo; None without any."""
        trailers = self._trailers.get(code)
        if not trailers:
            return None
        return sum(_says_when_to_retry(trailer) for trailer in trailers) / len(trailers)


def _reason(trailer: bytes) -> str:
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(trailer).details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def _says_when_to_retry(trailer: bytes) -> bool:
    details = status_pb2.Status.FromString(trailer).details
    return any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in details)
