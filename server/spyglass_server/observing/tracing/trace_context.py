"""The trace that a caller's request belongs to, from the W3C headers `traceparent` and `tracestate`."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from spyglass_server.engine.observation import Metadata

# What https://www.w3.org/TR/trace-context/ makes every service keep.
_MAX_STATE_CHARACTERS = 512
_MAX_STATE_MEMBERS = 32
_PARENT, _STATE = "traceparent", "tracestate"

_propagator = TraceContextTextMapPropagator()


def caller_context(metadata: Metadata) -> Context | None:
    """Return the context of the caller's span; None: there is no valid one.

    A `tracestate` that is invalid or longer than 512 characters or 32 members is left out.
    """
    parents = [value for key, value in metadata if key == _PARENT]
    if len(parents) != 1:
        return None
    states = [str(value) for key, value in metadata if key == _STATE]
    joined = ",".join(states)
    if len(joined) > _MAX_STATE_CHARACTERS or joined.count(",") >= _MAX_STATE_MEMBERS:
        joined = ""
    context: Context = _propagator.extract({_PARENT: [str(parents[0])], _STATE: [joined]}, Context())
    # Without a valid parent, the context stays empty.
    return context or None
