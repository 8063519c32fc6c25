"""Errors of gRPC to errors of `spyglass_contract.errors`."""

from __future__ import annotations

from typing import Protocol

import grpc
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from spyglass_client._attempts import CONNECTION_LOST, NOT_SERVING, TLS_FAILED, UNREACHABLE
from spyglass_client._streams.pipeline import MESSAGE_TOO_LARGE
from spyglass_client._transports.tls_failures import closed_hint, tls_failure
from spyglass_contract.errors import DeadlineExceeded, LimitExceeded, SpyglassError, Unavailable
from spyglass_contract.statuses import REQUEST_ID_HEADER, error_from_status

# How gRPC's text ends if the health check of the client's balance found no healthy server.
_UNHEALTHY = "backend unhealthy"
# How gRPC's text begins if no server got the request: none listens, none has that name, a proxy found none.
_NOT_SENT = (
    "failed to connect",
    "connections to all backends failing",
    "errors resolving",
    "DNS resolution failed",
    "Received http2 header with status: 50",
)


class FailedCall(Protocol):
    """A call that failed, or its exception: in gRPC both are one object."""

    def code(self) -> grpc.StatusCode: ...

    def details(self) -> str | None: ...

    def trailing_metadata(self) -> object: ...


def error_from_rpc(call: FailedCall) -> SpyglassError:
    """Return the error that the server sent, or the one that fits gRPC's own status code."""
    status = _status(call)
    error = _from_grpc(call) if status is None else error_from_status(status)
    error.request_id = error.request_id or _request_id(call)
    return error


def _status(call: FailedCall) -> Status | None:
    try:
        status: Status | None = rpc_status.from_call(call)
    # Details that do not fit the code are not from a Spyglass server.
    except ValueError:
        return None
    return status


def _from_grpc(call: FailedCall) -> SpyglassError:
    code, details = call.code(), call.details() or "no details"
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(details)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("no response came before the deadline")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        # The server sends this code with details; gRPC itself sends it for large messages only.
        return LimitExceeded(f"the request is too large: {details}", reason=MESSAGE_TOO_LARGE)
    return error_from_status(Status(code=code.value[0], message=details))


def _unavailable(details: str) -> Unavailable:
    """Return the error for gRPC's own UNAVAILABLE; its text is all that tells the cases apart."""
    if failure := tls_failure(details):
        return Unavailable(f"the server cannot be reached with TLS: {failure}", reason=TLS_FAILED)
    if details.endswith(_UNHEALTHY):
        return Unavailable(
            f"no server takes calls now: the health service reports NOT_SERVING ({details})",
            reason=NOT_SERVING,
        )
    if details.startswith(_NOT_SENT):
        details += closed_hint(details)
        return Unavailable(f"the server cannot be reached: {details}", reason=UNREACHABLE)
    return Unavailable(f"the connection to the server was lost: {details}", reason=CONNECTION_LOST)


def _request_id(call: FailedCall) -> str:
    # The metadata of both of gRPC's interfaces is a sequence of pairs.
    for key, value in call.trailing_metadata() or ():  # type: ignore[attr-defined]
        if key == REQUEST_ID_HEADER:
            return str(value)
    return ""
