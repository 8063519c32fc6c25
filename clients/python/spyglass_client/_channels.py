"""Channels: how they are tuned and opened."""

from __future__ import annotations

import grpc

from spyglass_client._options import Credentials, Timeout

_UNLIMITED = -1


def channel_options(timeout: Timeout) -> list[tuple[str, int]]:
    """The tuning of a channel, times in milliseconds."""
    return [
        # How large a message may be is the server's to say.
        ("grpc.max_send_message_length", _UNLIMITED),
        ("grpc.max_receive_message_length", _UNLIMITED),
        # A connection that died in silence is noticed while a call waits on it. The server allows a ping
        # every ten seconds.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # By this name gRPC calls the least time that it gives one attempt to connect.
        ("grpc.min_reconnect_backoff_ms", round(timeout.connect * 1000)),
        # A server that restarts is found again soon after.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]


def open_channel(target: str, timeout: Timeout, credentials: Credentials) -> grpc.Channel:
    """A channel to HOST:PORT; it connects when it is first used."""
    options = channel_options(timeout)
    if credentials.encrypted:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(credentials.ca), options)
    return grpc.insecure_channel(target, options)
