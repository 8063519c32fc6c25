"""The layer that gives every call an id, and logs one line when the call ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from spyglass_contract.statuses import REQUEST_ID_HEADER
from spyglass_server.interceptors.layer import Layer
from spyglass_server.request_id import request_id_of, using_request_id

_log = logging.getLogger("spyglass.requests")

# Health checks come every second: they are logged at level debug.
_QUIET = "/grpc.health.v1.Health/"


class RequestLog(Layer):
    """Gives a call the caller's id or a new one, and logs its status code and duration."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        request_id = request_id_of(context.invocation_metadata())
        started = time.monotonic()
        with using_request_id(request_id):
            context.set_trailing_metadata(((REQUEST_ID_HEADER, request_id),))
            try:
                yield
            finally:
                level = logging.DEBUG if method.startswith(_QUIET) else logging.INFO
                if _log.isEnabledFor(level):
                    _write(level, method, _code(context), started)


def log_request(method: str, code: str, started: float, request_id: str) -> None:
    """Log one line about a call that began at `started` (monotonic) and has ended."""
    if _log.isEnabledFor(logging.INFO):
        with using_request_id(request_id):
            _write(logging.INFO, method, code, started)


def _write(level: int, method: str, code: str, started: float) -> None:
    duration_ms = round((time.monotonic() - started) * 1000, 2)
    _log.log(level, method, extra={"code": code, "duration_ms": duration_ms})


def _code(context: grpc.ServicerContext) -> str:
    # typeshed leaves `code` out; grpcio has it since 1.36. None: the handler set no code, so the call
    # succeeded, unless the caller has cancelled it.
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]
    if code is None:
        return "OK" if context.is_active() else "CANCELLED"
    return code.name
