"""Errors to the statuses that end a gRPC call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import grpc
from google.rpc.error_details_pb2 import RequestInfo
from google.rpc.status_pb2 import Status

from spyglass_contract.errors import Overloaded, SpyglassError
from spyglass_contract.status_codes import status_code
from spyglass_contract.statuses import REQUEST_ID_HEADER, status_from_error


@dataclass(frozen=True)
class AbortStatus(grpc.Status):
    """The argument of `ServicerContext.abort_with_status`."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def abort_status(error: SpyglassError, request_id: str) -> AbortStatus:
    """Return the status of an error, with its details and the request's id in the trailing metadata."""
    if type(error) is Overloaded and not error.field:
        # An overloaded server makes thousands of these a second.
        prefix = _overloaded(error.message, error.reason, error.retry_after)
        data, message = prefix + _with_request_id(request_id), error.message
    else:
        status = status_from_error(error, request_id)
        data, message = status.SerializeToString(), status.message
    metadata = (("grpc-status-details-bin", data), (REQUEST_ID_HEADER, request_id))
    return AbortStatus(grpc.StatusCode[status_code(error)], message, metadata)


@lru_cache(maxsize=1024)
def _overloaded(message: str, reason: str, retry_after: float | None) -> bytes:
    """Return the status of an Overloaded without the request's id, serialised."""
    status = status_from_error(Overloaded(message, reason=reason, retry_after=retry_after), "")
    kept = [detail for detail in status.details if not detail.Is(RequestInfo.DESCRIPTOR)]
    data: bytes = Status(code=status.code, message=status.message, details=kept).SerializeToString()
    return data


def _with_request_id(request_id: str) -> bytes:
    """Return the rest of a serialised status: bytes of messages that follow each other are one message."""
    status = Status()
    status.details.add().Pack(RequestInfo(request_id=request_id))
    data: bytes = status.SerializeToString()
    return data
