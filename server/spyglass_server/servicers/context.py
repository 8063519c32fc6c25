"""The caller, the deadline and the cancellation of a gRPC call, as a `Call`."""

from __future__ import annotations

import time
from collections.abc import Iterable

import grpc

from spyglass_server.access.entries import Identity
from spyglass_server.engine.call import Call, Caller
from spyglass_server.interceptors.authenticated import current_identity
from spyglass_server.interceptors.grpcio_calls import caller_of
from spyglass_server.interceptors.observed import current_observation
from spyglass_server.request_id import current_request_id

PRIORITY_HEADER = "x-priority"
"""Metadata of a call: `bulk` lets others go first."""
ORDERED_HEADER = "x-ordered"
"""Metadata of a stream: with `true`, the responses come in the order of their requests."""

_ENDLESS_SECONDS = 1e8


def call_of(context: grpc.ServicerContext, *, patient: bool = False) -> Call:
    """Return the call of a gRPC context; see `Call` for `patient`."""
    call = new_call(
        context.peer(),
        context.invocation_metadata(),
        context.time_remaining(),
        patient=patient,
        request_id=current_request_id(),
        identity=current_identity(),
    )
    if observation := current_observation():
        call.observation, observation.call = observation, call
    if not context.add_callback(call.cancel):
        call.cancel()
    return call


def new_call(
    peer: str,
    metadata: Iterable[tuple[str, str | bytes]],
    remaining: float | None,
    *,
    patient: bool = False,
    request_id: str = "",
    identity: Identity | None = None,
) -> Call:
    """Return the call of a caller with `remaining` seconds, None: no deadline."""
    deadline = None
    # gRPC gives a call without a deadline some thousand years, for which no lock can wait.
    if remaining is not None and remaining < _ENDLESS_SECONDS:
        deadline = time.monotonic() + remaining
    return Call(
        deadline,
        patient=patient,
        caller=Caller(caller_of(peer), peer, identity),
        request_id=request_id,
        bulk=any(key == PRIORITY_HEADER and value == "bulk" for key, value in metadata),
    )


def is_ordered(metadata: Iterable[tuple[str, str | bytes]]) -> bool:
    """Return whether the responses of a stream come in the order of their requests."""
    return any(key == ORDERED_HEADER and value == "true" for key, value in metadata)
