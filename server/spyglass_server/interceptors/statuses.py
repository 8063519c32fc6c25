"""Errors to gRPC statuses, with the details that travel along."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from spyglass_contract import errors
from spyglass_contract.status_codes import ERROR_DOMAIN, status_code

_log = logging.getLogger(__name__)

# A status travels in headers, which hold 8 kB, and a message may quote its caller's own words.
_MAX_MESSAGE = 256


def grpc_code(error: BaseException) -> grpc.StatusCode:
    """The code that gRPC sends for `error`."""
    return grpc.StatusCode[status_code(error)]


def to_status(error: BaseException, request_id: str) -> Status:
    """`google.rpc.Status` with ErrorInfo, RequestInfo and, where they apply, BadRequest and RetryInfo.

    What a fault of the server's says goes to the log: its caller gets the request's id to quote.
    """
    code = grpc_code(error)
    if not isinstance(error, errors.SpyglassError) or code is grpc.StatusCode.INTERNAL:
        _log.error("a request failed", exc_info=error)
        reason = error.reason if isinstance(error, errors.InternalError) else "INTERNAL"
        error = errors.InternalError(f"a fault of the server's; quote {request_id}", reason=reason)
    return Status(
        code=code.value[0],
        message=_message(error),
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
    return AbortStatus(grpc_code(error), status.message, metadata)


def _message(error: errors.SpyglassError) -> str:
    return error.message if len(error.message) <= _MAX_MESSAGE else f"{error.message[:_MAX_MESSAGE]}…"


def _details(error: errors.SpyglassError, request_id: str) -> list[Message]:
    details: list[Message] = [
        ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN),
        RequestInfo(request_id=request_id),
    ]
    if error.field:
        violation = BadRequest.FieldViolation(field=error.field, description=_message(error))
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
