"""Calls of which only a part is sent, written directly to a socket: a gRPC client cannot send them."""

from __future__ import annotations

import socket

from slow_sending.frames import DATA, END_HEADERS, HEADERS, frame, headers, message, opening


class HalfSent:
    """One connection with calls that have sent the first bytes of a message and will never send the rest."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port), timeout=30, source_address=(source, 0))
        self._socket.sendall(opening())
        self._next = 1

    def begin(self, method: str, count: int = 1, announced: int = 50_000) -> None:
        """Begin `count` calls: each announces a message of so many bytes, and sends six."""
        part = message(bytes(announced))[:5] + b"\x0a\x05half"
        for _ in range(count):
            begun = frame(HEADERS, END_HEADERS, self._next, headers(method))
            self._socket.sendall(begun + frame(DATA, 0, self._next, part))
            self._next += 2

    def close(self) -> None:
        self._socket.close()
