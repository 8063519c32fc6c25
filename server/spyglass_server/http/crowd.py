"""What the connections of a port hold together: their number, and responses that callers do not read."""

from __future__ import annotations

import asyncio

# The part of the bytes of all requests that unread responses may hold.
_PART = 4


class Crowd:
    """The connections of a port that can be ended in favour of others; for one event loop."""

    def __init__(self, *, most_connections: int, bytes_in_flight: int) -> None:
        """Take at most `most_connections`; unread responses hold a quarter of `bytes_in_flight`."""
        self._most = most_connections
        self._most_unread = bytes_in_flight // _PART
        # Those without a request in work, in the order in which they became idle.
        self._idle: dict[asyncio.Transport, None] = {}
        # The bytes of responses that were not read at once, in their order.
        self._unread: dict[asyncio.Transport, int] = {}

    def enter(self, transport: asyncio.Transport, connections: int) -> None:
        """Add a connection, one of so many. If there are too many, end the one that is idle for longest."""
        if connections > self._most:
            next(iter(self._idle), transport).abort()
        self._idle[transport] = None

    def work(self, transport: asyncio.Transport) -> None:
        """Keep a connection: it has a request in work."""
        self._idle.pop(transport, None)

    def rest(self, transport: asyncio.Transport) -> None:
        """Take a connection as idle: its response is complete."""
        self._idle[transport] = None

    def unread(self, transport: asyncio.Transport) -> None:
        """Count what a caller has not read; end the earliest of such connections if they hold too much."""
        self._unread[transport] = transport.get_write_buffer_size()
        while sum(self._unread.values()) > self._most_unread and len(self._unread) > 1:
            earliest = next(iter(self._unread))
            del self._unread[earliest]
            earliest.abort()

    def read(self, transport: asyncio.Transport) -> None:
        """Forget what a caller has read by now."""
        self._unread.pop(transport, None)

    def leave(self, transport: asyncio.Transport) -> None:
        """Forget a connection that has ended."""
        self._idle.pop(transport, None)
        self._unread.pop(transport, None)
