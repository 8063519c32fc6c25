"""Statuses as they travel, back to the errors that they were."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from spyglass_contract import errors
from spyglass_contract.status_codes import ERROR_DOMAIN, STATUS_CODES

# The reason where gRPC itself would not carry a message.
MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"

Detail = TypeVar("Detail", bound=Message)

_CLASSES = {code: kind for kind, code in STATUS_CODES.items()}


def error_from_status(status: Status) -> errors.SpyglassError:
    """The error that a server of ours put into `status`; codes that it does not use are InternalError."""
    info = _detail(status, ErrorInfo())
    reason = info.reason if info.domain == ERROR_DOMAIN else ""
    violations = _detail(status, BadRequest()).field_violations
    field = violations[0].field if violations else ""
    error = _class_of(status.code, reason)(status.message, reason=reason, field=field)
    if isinstance(error, errors.Overloaded):
        error.retry_after = _retry_after(status)
    error.request_id = _detail(status, RequestInfo()).request_id
    return error


def _class_of(code: int, reason: str) -> type[errors.SpyglassError]:
    name = Code.Name(code) if code in Code.values() else "UNKNOWN"
    if name == "INVALID_ARGUMENT" and reason.startswith("IMAGE_"):
        return errors.ImageError
    return _CLASSES.get(name, errors.InternalError)


def _retry_after(status: Status) -> float | None:
    """Seconds; None where the server gives no hint."""
    for packed in status.details:
        retry = RetryInfo()
        if packed.Unpack(retry):
            seconds: float = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            return seconds
    return None


def _detail(status: Status, empty: Detail) -> Detail:
    """The first detail of `empty`'s kind; `empty` itself where there is none."""
    for packed in status.details:
        if packed.Unpack(empty):
            break
    return empty
