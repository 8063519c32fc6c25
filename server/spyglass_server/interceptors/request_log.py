"""An id for every call, and one line about it when it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from spyglass_server.interceptors.layer import Layer
from spyglass_server.interceptors.request_id import HEADER, request_id_of, using_request_id

_log = logging.getLogger("spyglass.requests")

# Asked every second by whoever watches over the server.
_QUIET = "/grpc.health.v1.Health/"


class RequestLog(Layer):
    """Gives a call its id, the caller's own where it sent one, and logs code and duration."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        request_id = request_id_of(context)
        started = time.monotonic()
        with using_request_id(request_id):
            context.set_trailing_metadata(((HEADER, request_id),))
            try:
                yield
            finally:
                level = logging.DEBUG if method.startswith(_QUIET) else logging.INFO
                if _log.isEnabledFor(level):
                    _log.log(
                        level,
                        method,
                        extra={
                            "code": _code(context),
                            "duration_ms": round((time.monotonic() - started) * 1000, 2),
                        },
                    )


def _code(context: grpc.ServicerContext) -> str:
    # typeshed leaves `code` out; grpcio has it since 1.36. None: the handler set none, so all is well,
    # unless nobody was there any more to be answered.
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]
    if code is None:
        return "OK" if context.is_active() else "CANCELLED"
    return code.name
