"""The id of a request, in the log and in the response to its caller."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from spyglass_contract.statuses import REQUEST_ID_HEADER

# The ids that a caller may send: characters that do not break a log line.
_SAFE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class TracedId(str):
    """The id of a request that belongs to a trace: wherever the id goes, log lines carry the trace, too."""

    # 32 hexadecimal digits, and 16: the span of the request.
    trace_id: str
    span_id: str

    def __new__(cls, request_id: str, trace_id: str, span_id: str) -> TracedId:
        """`span_id` may be empty: the request has no span."""
        traced = super().__new__(cls, request_id)
        traced.trace_id, traced.span_id = trace_id, span_id
        return traced


_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Return the id of the request that this thread serves, empty outside of a request."""
    return _current.get()


def request_id_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the caller's `x-request-id` if it sent a valid one, or a new id."""
    for key, value in metadata:
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _SAFE.fullmatch(value):
            return value
    return uuid.uuid4().hex


def set_request_id(request_id: str) -> None:
    """Make `request_id` the current one of this thread until another one is set."""
    _current.set(request_id)


@contextmanager
def using_request_id(request_id: str) -> Iterator[None]:
    """Make `request_id` the current one inside the block."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)
