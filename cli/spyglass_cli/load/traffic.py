"""The bytes that a client sends and receives: those of its messages, without the framing of gRPC and TLS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc


@dataclass
class Bytes:
    """Bytes of a number of messages."""

    total: int = 0
    messages: int = 0

    def merge(self, other: Bytes) -> None:
        """Add the messages of `other`."""
        self.total += other.total
        self.messages += other.messages

    @property
    def mean(self) -> float | None:
        """Bytes a message; None without messages."""
        return self.total / self.messages if self.messages else None


@dataclass
class Traffic:
    """The messages that were sent and received between `begin` and `end`, times of `time.monotonic`."""

    begin: float
    end: float
    sent: Bytes = field(default_factory=Bytes)
    received: Bytes = field(default_factory=Bytes)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: Bytes, message: bytes) -> None:
        """Count a message of `sent` or `received`; safe from any thread."""
        if self.begin <= time.monotonic() <= self.end:
            with self._lock:
                kind.total += len(message)
                kind.messages += 1


class CountingChannel(grpc.Channel):
    """A channel that counts the bytes of each message where gRPC makes or reads them."""

    def __init__(self, channel: grpc.Channel, traffic: Traffic) -> None:
        self._channel = channel
        self._traffic = traffic

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        """See grpc.Channel, like the methods below."""
        return self._multi_callable("unary_unary", method, *serializers, **options)

    def unary_stream(self, method: str, *serializers: Any, **options: Any) -> Any:
        return self._multi_callable("unary_stream", method, *serializers, **options)

    def stream_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        return self._multi_callable("stream_unary", method, *serializers, **options)

    def stream_stream(self, method: str, *serializers: Any, **options: Any) -> Any:
        return self._multi_callable("stream_stream", method, *serializers, **options)

    def subscribe(self, callback: Callable[..., Any], try_to_connect: bool | None = False) -> None:
        self._channel.subscribe(callback, bool(try_to_connect))

    def unsubscribe(self, callback: Callable[..., Any]) -> None:
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> CountingChannel:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _multi_callable(
        self,
        kind: str,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **options: Any,
    ) -> Any:
        traffic = self._traffic

        def serialize(message: Any) -> bytes:
            encoded = request_serializer(message)
            traffic.count(traffic.sent, encoded)
            return encoded

        def deserialize(encoded: bytes) -> Any:
            traffic.count(traffic.received, encoded)
            return response_deserializer(encoded)

        return getattr(self._channel, kind)(method, serialize, deserialize, **options)
