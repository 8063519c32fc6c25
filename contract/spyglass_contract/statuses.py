"""Errors to `google.rpc.Status` messages, for the server, and back, for the client."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from spyglass_contract import errors
from spyglass_contract.status_codes import ERROR_DOMAIN, STATUS_CODES, status_code

REQUEST_ID_HEADER = "x-request-id"
"""The metadata key of a request's id, in both directions."""

# gRPC sends a status in headers, which hold 8 kB, and a message may quote the caller's own words.
_MAX_MESSAGE = 256

_CLASSES = {code: kind for kind, code in STATUS_CODES.items()}

_Detail = TypeVar("_Detail", bound=Message)


def status_from_error(error: errors.SpyglassError, request_id: str) -> Status:
    """Return the status of an error, with ErrorInfo and RequestInfo.

    It has a BadRequest if the error names a field, and a RetryInfo if the error says when to retry. The
    message is cut after 256 characters.
    """
    return Status(
        code=Code.Value(status_code(error)),
        message=_message(error),
        details=[_packed(detail) for detail in _details(error, request_id)],
    )


def error_from_status(status: Status) -> errors.SpyglassError:
    """Return the error that a status stands for; unknown codes become InternalError."""
    info = _detail(status, ErrorInfo())
    reason = info.reason if info.domain == ERROR_DOMAIN else ""
    violations = _detail(status, BadRequest()).field_violations
    field = violations[0].field if violations else ""
    error = _class_of(status.code, reason)(status.message, reason=reason, field=field)
    if isinstance(error, errors.Overloaded):
        error.retry_after = _retry_after(status)
    error.request_id = _detail(status, RequestInfo()).request_id
    return error


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


def _class_of(code: int, reason: str) -> type[errors.SpyglassError]:
    name = Code.Name(code) if code in Code.values() else "UNKNOWN"
    if name == "INVALID_ARGUMENT" and reason.startswith("IMAGE_"):
        return errors.ImageError
    return _CLASSES.get(name, errors.InternalError)


def _retry_after(status: Status) -> float | None:
    """Seconds until a retry may succeed; None if the server gives no hint."""
    for packed in status.details:
        retry = RetryInfo()
        if packed.Unpack(retry):
            seconds: float = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            return seconds
    return None


def _detail(status: Status, empty: _Detail) -> _Detail:
    """Return the first detail of the type of `empty`, or `empty` itself if there is none."""
    for packed in status.details:
        if packed.Unpack(empty):
            break
    return empty
