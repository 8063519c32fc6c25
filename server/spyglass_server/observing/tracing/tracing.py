"""Spans of requests: one for each request, with a child for each of its stages."""

from __future__ import annotations

import random
import time
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)

from spyglass_server.engine.observation import Observation
from spyglass_server.observing.tracing.attributes import attributes_of, is_server_fault
from spyglass_server.observing.tracing.stages import Stage, stages_of
from spyglass_server.observing.tracing.trace_context import caller_context
from spyglass_server.request_id import TracedId

# Health checks and reflection.
_UNTRACED = "/grpc."
_NANOSECONDS = 1_000_000_000


class Tracing:
    """Decides at the begin of a request whether it is traced, and makes its spans."""

    def __init__(self, tracer: Tracer, sample: float) -> None:
        """Trace requests as their callers do, and those without a trace with probability `sample`."""
        self._tracer = tracer
        self._sample = sample

    def begin(self, observation: Observation, stream: Observation | None = None) -> None:
        """Give a traced request its span, and its id the ids of the trace; see `Beginner`."""
        if stream is not None:
            if stream.span is not None:
                name = f"{observation.method.lstrip('/')} message"
                self._start(observation, name, set_span_in_context(stream.span, Context()), SpanKind.INTERNAL)
            return
        if observation.method.startswith(_UNTRACED):
            return
        context = caller_context(observation.metadata)
        if context is None:
            if random.random() >= self._sample:
                return
            context = Context()
        elif not (parent := get_current_span(context).get_span_context()).trace_flags.sampled:
            trace_id = format_trace_id(parent.trace_id)
            observation.request_id = TracedId(observation.request_id, trace_id, "")
            return
        span = self._start(
            observation, observation.method.lstrip("/"), context, SpanKind.SERVER
        ).get_span_context()
        observation.request_id = TracedId(
            observation.request_id, format_trace_id(span.trace_id), format_span_id(span.span_id)
        )

    def __call__(self, observation: Observation) -> None:
        """End the span of a request; see `Observer`."""
        span = observation.span
        if span is None or not span.is_recording():
            return
        # One offset for all: then each span is inside of its parent, also if the clock was set meanwhile.
        offset = span.start_time - _nanoseconds(observation.started)
        for stage in stages_of(observation):
            self._add(stage, span, offset)
        span.set_attributes(attributes_of(observation))
        if is_server_fault(observation.code):
            span.set_status(Status(StatusCode.ERROR))
        span.end(offset + _nanoseconds(observation.ended))

    def _start(self, observation: Observation, name: str, context: Context, kind: SpanKind) -> Any:
        now = time.time_ns() - time.monotonic_ns()
        started = now + _nanoseconds(observation.started)
        observation.span = self._tracer.start_span(name, context, kind, start_time=started)
        return observation.span

    def _add(self, stage: Stage, parent: Any, offset: int) -> None:
        context = set_span_in_context(parent, Context())
        span = self._tracer.start_span(stage.name, context, start_time=offset + _nanoseconds(stage.started))
        if stage.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(offset + _nanoseconds(stage.ended))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
