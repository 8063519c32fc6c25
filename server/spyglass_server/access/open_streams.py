"""Streams in progress, by who opened them: they end when their caller is not valid any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from spyglass_contract.errors import SpyglassError, Unauthenticated
from spyglass_server.access.entries import Identity

# A stream that has not ended so long after it was told to is cancelled: its caller gets no status.
_UNREAD_SECONDS = 0.5


@dataclass(eq=False)
class _Stream:
    """One stream, with two ways to end it: the second one needs no help of its caller. Neither blocks."""

    identity: Identity
    give_up: Callable[[SpyglassError], object]
    cancel: Callable[[], object]
    # The time when it was told to end.
    told: float | None = None


class OpenStreams:
    """The streams of all callers with an identity; safe to use from any thread."""

    def __init__(self) -> None:
        self._streams: dict[_Stream, None] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of streams."""
        return len(self._streams)

    def enter(
        self,
        identity: Identity | None,
        give_up: Callable[[SpyglassError], object],
        cancel: Callable[[], object],
    ) -> Callable[[], None]:
        """Note a stream, and how to end it; return what to call when it has ended."""
        if identity is None:
            return lambda: None
        stream = _Stream(identity, give_up, cancel)
        with self._lock:
            self._streams[stream] = None

        def leave() -> None:
            with self._lock:
                self._streams.pop(stream, None)

        return leave

    def sweep(self, is_current: Callable[[Identity], bool]) -> None:
        """End the streams whose identity is not current."""
        now = time.monotonic()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            if stream.told is not None:
                if now - stream.told > _UNREAD_SECONDS:
                    stream.cancel()
            elif not is_current(stream.identity):
                stream.told = now
                stream.give_up(Unauthenticated("the token is not accepted", reason="TOKEN_NOT_ACCEPTED"))
