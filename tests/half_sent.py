"""Calls of which only a part is sent, written directly to a socket: a gRPC client cannot send them."""

from __future__ import annotations

import socket
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_HEADERS = 4


class HalfSent:
    """One connection with calls that have sent the first bytes of a message and will never send the rest."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port), timeout=30, source_address=(source, 0))
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        self._next = 1

    def begin(self, method: str, count: int = 1, announced: int = 50_000) -> None:
        """Begin `count` calls: each announces a message of so many bytes, and sends six."""
        part = struct.pack(">BI", 0, announced) + b"\x0a\x05half"
        for _ in range(count):
            headers = _frame(_HEADERS, _END_HEADERS, self._next, _headers(method))
            self._socket.sendall(headers + _frame(_DATA, 0, self._next, part))
            self._next += 2

    def close(self) -> None:
        self._socket.close()


def _headers(method: str) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    # HPACK: literals that are not added to a table, each shorter than 127 bytes.
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
