"""A probe of a server over gRPC: a call of its health service that waits until the server can be reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

# grpc.health.v1 as bytes, so that the client needs no package for two messages: a request for the whole
# server, and a response with `status: NOT_SERVING`.
_METHOD = "/grpc.health.v1.Health/Check"
_REQUEST = b""
_NOT_SERVING = b"\x08\x02"


class HealthProbe:
    """Asks a server for its health once the channel has a connection."""

    def __init__(self, channel: grpc.Channel, *, health: bool) -> None:
        """Without `health`, any server that responds takes calls."""
        self._check: Any = channel.unary_unary(_METHOD)
        self._health = health

    def __call__(self, ended: Callable[[bool], None]) -> None:
        """See `Probe`."""
        call = self._check.future(_REQUEST, wait_for_ready=True)
        call.add_done_callback(lambda _: ended(self._takes_calls(call)))

    def _takes_calls(self, call: Any) -> bool:
        code = call.code()
        if code is grpc.StatusCode.OK:
            return not (self._health and call.result() == _NOT_SERVING)
        # A server without a health service responds with another status.
        return code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
