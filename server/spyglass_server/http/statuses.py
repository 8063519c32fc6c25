"""Errors as HTTP statuses and problem details (RFC 9457)."""

from __future__ import annotations

import math
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from spyglass_contract.errors import Overloaded, SpyglassError
from spyglass_contract.status_codes import status_code
from spyglass_contract.statuses import REQUEST_ID_HEADER

PROBLEM = "application/problem+json"

# As google/rpc/code.proto documents them.
_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "NOT_FOUND": 404,
    "FAILED_PRECONDITION": 400,
    "RESOURCE_EXHAUSTED": 429,
    "DEADLINE_EXCEEDED": 504,
    "CANCELLED": 499,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "UNAVAILABLE": 503,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
}
# Faults that only HTTP knows, by their reason.
_STATUSES_OF_REASONS = {
    "PATH_UNKNOWN": 404,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "REQUEST_TOO_SLOW": 408,
    "MESSAGE_TOO_LARGE": 413,
    "MEDIA_TYPE_UNSUPPORTED": 415,
}
_MAX_DETAIL = 512


def http_status(error: SpyglassError) -> int:
    """Return the status of an error."""
    return _STATUSES_OF_REASONS.get(error.reason) or _STATUSES[status_code(error)]


def headers_of(error: SpyglassError, request_id: str) -> dict[str, str]:
    """Return the headers of an error's response."""
    headers = {REQUEST_ID_HEADER: request_id}
    if isinstance(error, Overloaded) and error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if http_status(error) == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return headers


def problem_of(error: SpyglassError, request_id: str) -> dict[str, object]:
    """Return the members of the problem details of an error.

    `code`, `reason` and `field` are those of gRPC; `type` is about:blank, since `reason` tells the kinds
    apart.
    """
    status = http_status(error)
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": "Client Closed Request" if status == 499 else HTTPStatus(status).phrase,
        "status": status,
        "detail": detail_of(error),
        "code": status_code(error),
        "reason": error.reason,
        "requestId": request_id,
    }
    if error.field:
        problem["field"] = error.field
    if isinstance(error, Overloaded) and error.retry_after is not None:
        problem["retryAfterSeconds"] = error.retry_after
    return problem


def detail_of(error: SpyglassError) -> str:
    """Return the message of an error, cut if it is long."""
    text = error.message if len(error.message) <= _MAX_DETAIL else f"{error.message[:_MAX_DETAIL]}…"
    # Texts of callers can hold halves of surrogate pairs, which UTF-8 does not have.
    return text.encode("utf-8", "replace").decode()


def problem_response(error: SpyglassError, request_id: str) -> Response:
    """Return the response that tells an error."""
    return JSONResponse(
        problem_of(error, request_id),
        http_status(error),
        headers_of(error, request_id),
        media_type=PROBLEM,
    )
