"""A gRPC call as the data plane sees it."""

from __future__ import annotations

import time

import grpc

from spyglass_server.engine.call import Call

_ENDLESS_SECONDS = 1e8


def call_of(context: grpc.ServicerContext, *, patient: bool = False) -> Call:
    """The deadline and the cancellation of a gRPC call."""
    remaining = context.time_remaining()
    # A call without a deadline has one of some thousand years, which no lock can wait for.
    hurried = remaining is not None and remaining < _ENDLESS_SECONDS
    call = Call(time.monotonic() + remaining if hurried else None, patient=patient)
    if not context.add_callback(call.cancel):
        call.cancel()
    return call
