"""The limits of gRPC calls, made from the settings."""

from __future__ import annotations

from spyglass_contract.errors import DeadlineExceeded, Overloaded
from spyglass_server.access.quotas import Quota
from spyglass_server.engine.capacity.byte_budget import ByteBudget
from spyglass_server.engine.capacity.memory import allocated_bytes
from spyglass_server.engine.capacity.places import Places, Rules
from spyglass_server.engine.capacity.reading import Reading
from spyglass_server.settings import ServerSettings

# The most calls of the health service whose request is still being received.
_HEALTH_CALLS = 256
# A call that has waited for less than this many seconds keeps its place.
_PROTECTED_RECEPTION = 1.0
_PROTECTED_STREAM = 5.0
_CLEANED_UP_STREAMS = 1000
_RETRY_SECONDS = 0.5
_HANDSHAKE_MS = 10_000
_IDLE_CONNECTION_MS = 600_000
# After this time without traffic, the server pings a connection to check that its client is still connected.
_PING_MS = 60_000
_PING_TIMEOUT_MS = 20_000


class WireLimits:
    """The limits of what callers may use at a time: bytes, calls and streams."""

    def __init__(self, settings: ServerSettings) -> None:
        self.bytes_in_flight = ByteBudget(settings.effective_max_bytes_in_flight)
        self.reading = Reading(self.bytes_in_flight, settings.max_message_bytes, allocated_bytes())
        self.receptions = _receptions(
            settings.effective_max_receiving, settings.effective_max_receiving_per_caller, settings
        )
        self.health_receptions = _receptions(_HEALTH_CALLS, _HEALTH_CALLS, settings)
        self.streams = Places(
            Rules(
                what="streams",
                full=lambda message: Overloaded(
                    message, reason="TOO_MANY_STREAMS", retry_after=_RETRY_SECONDS
                ),
                late=lambda: DeadlineExceeded(
                    f"the stream was idle for {settings.stream_idle_seconds:g} s", reason="STREAM_IDLE"
                ),
                capacity=settings.max_streams,
                per_caller=settings.max_streams_per_caller or settings.max_streams,
                seconds=settings.stream_idle_seconds,
                protected_seconds=_PROTECTED_STREAM,
            )
        )

    def sweep(self) -> None:
        """End the calls that have waited for too long, and continue to read from others."""
        for places in (self.receptions, self.health_receptions, self.streams):
            places.sweep()
        self.reading.tick()


def _receptions(capacity: int, per_caller: int, settings: ServerSettings) -> Places:
    return Places(
        Rules(
            what="calls whose request has not arrived",
            full=lambda message: Overloaded(
                message, reason="TOO_MANY_UNFINISHED_REQUESTS", retry_after=_RETRY_SECONDS
            ),
            late=lambda: DeadlineExceeded(
                f"the request did not arrive within {settings.receive_seconds:g} s", reason="REQUEST_TOO_SLOW"
            ),
            capacity=capacity,
            per_caller=per_caller,
            seconds=settings.receive_seconds,
            protected_seconds=_PROTECTED_RECEPTION,
        )
    )


def caller_quota(settings: ServerSettings) -> Quota:
    """Return the limits of callers that have none of their own."""
    return Quota(
        settings.caller_requests_per_second,
        settings.caller_megapixels_per_second,
        settings.caller_concurrent_calls,
    )


def channel_options(settings: ServerSettings, *, shares_port: bool = False) -> list[tuple[str, int]]:
    """Return the options of the gRPC server; `shares_port`: with others of this user."""
    age_ms = round(settings.connection_age_seconds * 1000)
    options = [
        # By default, two servers on one port would share its calls without a warning.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", settings.effective_max_calls_per_connection),
        # Without this, gRPC refuses valid calls of its own client while it cleans up earlier ones.
        ("grpc.http2.max_deallocating_streams", _CLEANED_UP_STREAMS),
        # Without this, gRPC buffers megabytes of each call on a fast connection before the server reads them.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.max_connection_idle_ms", _IDLE_CONNECTION_MS),
        ("grpc.max_connection_age_ms", age_ms),
        # Open streams may continue for the same time again.
        ("grpc.max_connection_age_grace_ms", age_ms),
        ("grpc.keepalive_time_ms", _PING_MS),
        ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_MS),
        # gRPC 1.85 waits for a minute without this: it does not read the option before.
        ("grpc.http2.ping_timeout_ms", _PING_TIMEOUT_MS),
        # Clients may keep an idle connection alive with a ping every ten seconds.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
    if not settings.compressed_requests:
        # A set of compression algorithms as bits; the first bit is "none".
        options.append(("grpc.compression_enabled_algorithms_bitset", 1))
    return options
