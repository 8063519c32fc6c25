"""gRPC channels and their options."""

from __future__ import annotations

import grpc

from spyglass_client._options import Credentials, Timeout

_UNLIMITED = -1


def channel_options(timeout: Timeout) -> list[tuple[str, int]]:
    """Return the options of a channel; times are in milliseconds."""
    return [
        # The server limits the size of messages.
        ("grpc.max_send_message_length", _UNLIMITED),
        ("grpc.max_receive_message_length", _UNLIMITED),
        # Pings find a dead connection while a call waits on it. The server allows a ping every ten seconds.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # gRPC uses this as the least time for one attempt to connect.
        ("grpc.min_reconnect_backoff_ms", round(timeout.connect * 1000)),
        # The client reconnects soon after a server restarts.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]


def open_channel(target: str, timeout: Timeout, credentials: Credentials) -> grpc.Channel:
    """Return a channel to HOST:PORT; it connects when it is first used."""
    options = channel_options(timeout)
    if credentials.encrypted:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(credentials.ca), options)
    return grpc.insecure_channel(target, options)
