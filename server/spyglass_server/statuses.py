"""The one table from errors to gRPC status codes, and the details that travel with them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from spyglass_contract import errors

_log = logging.getLogger(__name__)

DOMAIN = "spyglass"

CODES: dict[type[errors.SpyglassError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.LimitExceeded: grpc.StatusCode.OUT_OF_RANGE,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
}


def status_code(error: BaseException) -> grpc.StatusCode:
    """The code of the nearest class in the table; INTERNAL for everything that is not in it."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return grpc.StatusCode.INTERNAL


def to_status(error: BaseException, request_id: str) -> Status:
    """`google.rpc.Status` with ErrorInfo, RequestInfo and, where they apply, BadRequest and RetryInfo.

    What a fault of the server's says goes to the log: its caller gets the request's id to quote.
    """
    code = status_code(error)
    if not isinstance(error, errors.SpyglassError) or code is grpc.StatusCode.INTERNAL:
        _log.error("a request failed", exc_info=error)
        reason = error.reason if isinstance(error, errors.InternalError) else "INTERNAL"
        error = errors.InternalError(f"a fault of the server's; quote {request_id}", reason=reason)
    return Status(
        code=code.value[0],
        message=error.message,
        details=[_packed(detail) for detail in _details(error, request_id)],
    )


@dataclass(frozen=True)
class AbortStatus(grpc.Status):
    """What `ServicerContext.abort_with_status` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def to_abort(error: BaseException, request_id: str) -> AbortStatus:
    """The status as gRPC sends it: message, details and the request's id in the trailing metadata."""
    status = to_status(error, request_id)
    metadata = (("grpc-status-details-bin", status.SerializeToString()), ("x-request-id", request_id))
    return AbortStatus(status_code(error), status.message, metadata)


def _details(error: errors.SpyglassError, request_id: str) -> list[Message]:
    details: list[Message] = [
        ErrorInfo(reason=error.reason, domain=DOMAIN),
        RequestInfo(request_id=request_id),
    ]
    if error.field:
        violation = BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(BadRequest(field_violations=[violation]))
    if isinstance(error, errors.Overloaded) and error.retry_after is not None:
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(max(1, round(error.retry_after * 1000)))
        details.append(retry)
    return details


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
