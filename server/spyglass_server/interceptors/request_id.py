"""The id that follows a request through the log and back to its caller."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import grpc

HEADER = "x-request-id"

# What a caller may send as an id: nothing that breaks a log line.
_SAFE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request that this thread serves; empty outside of one."""
    return _current.get()


def request_id_of(context: grpc.ServicerContext) -> str:
    """The caller's `x-request-id` where it sent a sane one, or a new id."""
    for key, value in context.invocation_metadata():
        if key == HEADER and isinstance(value, str) and _SAFE.fullmatch(value):
            return value
    return uuid.uuid4().hex


@contextmanager
def using_request_id(request_id: str) -> Iterator[None]:
    """Makes `request_id` the current one inside the block."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)
