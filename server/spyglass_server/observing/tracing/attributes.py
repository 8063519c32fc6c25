"""The attributes of spans: those of OpenTelemetry's semantic conventions for RPC, and `spyglass.…`.

https://opentelemetry.io/docs/specs/semconv/rpc/ has the former. No attribute holds anything of an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from spyglass_server.engine.observation import Observation

Value = str | int | float

# What the conventions call an error of a server; other codes are faults of callers.
_SERVER_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)


def is_server_fault(code: str) -> bool:
    """Return whether a span with this status code is an error."""
    return code in _SERVER_FAULTS


def attributes_of(observation: Observation) -> dict[str, Value]:
    """Return the attributes of the span of a request, a stream or one of its messages."""
    return {key: value for key, value in _attributes(observation) if value != ""}


def _attributes(observation: Observation) -> Iterator[tuple[str, Value]]:
    yield "rpc.system.name", "grpc"
    yield "rpc.method", observation.method.lstrip("/")
    yield "rpc.response.status_code", observation.code
    yield "error.type", "" if observation.code == "OK" else observation.code
    yield "spyglass.error.reason", observation.reason
    yield "spyglass.request.id", str(observation.request_id)
    if observation.call:
        caller = observation.call.caller
        yield from _peer(caller.connection)
        yield "enduser.id", caller.name if caller.identity else ""
    if observation.kind == "stream":
        yield "spyglass.stream.messages", observation.messages
        return
    yield "spyglass.request.size", observation.request_bytes
    yield "spyglass.response.size", observation.response_bytes
    yield "spyglass.image.format", observation.image_format
    if observation.model:
        served_by = observation.served_by or observation.model.served_by
        yield "spyglass.model.name", served_by.model
        yield "spyglass.model.version", served_by.version
        yield "spyglass.provider", served_by.provider
        yield "spyglass.precision", served_by.precision
    if observation.images:
        yield "spyglass.request.images", len(observation.images)
    if observation.inferred:
        yield "spyglass.batch.size", observation.inferred.batch_size
    if observation.cached:
        yield "spyglass.cached", True


def _peer(connection: str) -> Iterator[tuple[str, Value]]:
    """Yield the attributes of a peer such as ipv4:10.0.0.7:51234 or ipv6:%5B::1%5D:51234."""
    kind, _, address = unquote(connection).partition(":")
    host, _, port = address.rpartition(":")
    if kind in ("ipv4", "ipv6") and port.isdecimal():
        yield "network.peer.address", host.strip("[]")
        yield "network.peer.port", int(port)
