"""The deadline and the cancellation of a gRPC call, as a `Call`."""

from __future__ import annotations

import time

import grpc

from spyglass_server.engine.call import Call

_ENDLESS_SECONDS = 1e8


def call_of(context: grpc.ServicerContext, *, patient: bool = False) -> Call:
    """Return the call of a gRPC context; see `Call` for `patient`."""
    remaining = context.time_remaining()
    # gRPC gives a call without a deadline some thousand years, for which no lock can wait.
    has_deadline = remaining is not None and remaining < _ENDLESS_SECONDS
    call = Call(time.monotonic() + remaining if has_deadline else None, patient=patient)
    if not context.add_callback(call.cancel):
        call.cancel()
    return call
