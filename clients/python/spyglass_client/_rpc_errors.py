"""What gRPC raises, to the one tree of errors."""

from __future__ import annotations

from typing import Protocol

import grpc
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from spyglass_client._errors import MESSAGE_TOO_LARGE, error_from_status
from spyglass_contract.errors import DeadlineExceeded, LimitExceeded, SpyglassError, Unavailable

REQUEST_ID = "x-request-id"


class FailedCall(Protocol):
    """A call that has ended badly, or the exception that stands for it: gRPC has each be the other."""

    def code(self) -> grpc.StatusCode: ...

    def details(self) -> str | None: ...

    def trailing_metadata(self) -> object: ...


def error_from_rpc(call: FailedCall) -> SpyglassError:
    """The server's own error where it sent one, or what gRPC's code means on this side of the wire."""
    status = _status(call)
    error = _from_grpc(call) if status is None else error_from_status(status)
    error.request_id = error.request_id or _request_id(call)
    return error


def _status(call: FailedCall) -> Status | None:
    try:
        status: Status | None = rpc_status.from_call(call)
    # Details that do not fit the code were not written by a server of ours.
    except ValueError:
        return None
    return status


def _from_grpc(call: FailedCall) -> SpyglassError:
    code, details = call.code(), call.details() or "no details"
    if code is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f"the server cannot be reached: {details}", reason="UNREACHABLE")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("there was no answer in time")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # With details it is the server that has no room; gRPC itself says it of messages only.
        return LimitExceeded(f"the request is too large: {details}", reason=MESSAGE_TOO_LARGE)
    return error_from_status(Status(code=code.value[0], message=details))


def _request_id(call: FailedCall) -> str:
    # gRPC's metadata, of either interface, is a row of pairs.
    for key, value in call.trailing_metadata() or ():  # type: ignore[attr-defined]
        if key == REQUEST_ID:
            return str(value)
    return ""
