"""What each slow connection sends before it falls silent."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from measuring.targets import CLASSIFY, CLASSIFY_STREAM
from slow_sending.frames import DATA, END_HEADERS, HEADERS, frame, headers, message, opening

_HELLO_BYTES = 5
# What a client may send before the server gives it a larger window.
_WINDOW = 60_000
_FRAME_BYTES = 16_384


@dataclass(frozen=True)
class Attack:
    """One kind of slow connection; `sent` makes its bytes of the request of an honest caller."""

    name: str
    sent: Callable[[bytes], bytes]
    tls: bool = False


def _half_request(payload: bytes) -> bytes:
    whole = message(payload)
    return _call(CLASSIFY, whole[: len(whole) // 2])


def _half_header(payload: bytes) -> bytes:
    whole = frame(HEADERS, END_HEADERS, 1, headers(CLASSIFY))
    return opening() + whole[: len(whole) // 2]


def _half_preface(payload: bytes) -> bytes:
    return opening()[:12]


def _half_handshake(payload: bytes) -> bytes:
    # A record of TLS that announces 512 bytes (RFC 8446, section 5.1), and the first of them.
    return b"\x16\x03\x01\x02\x00" + b"\x01" * _HELLO_BYTES


def _unread_stream(payload: bytes) -> bytes:
    one = message(payload)
    count = max(1, _WINDOW // len(one))
    return _call(CLASSIFY_STREAM, (one * count)[:_WINDOW], window=0)


def _call(method: str, body: bytes, window: int | None = None) -> bytes:
    body = body[:_WINDOW]
    parts = [body[start : start + _FRAME_BYTES] for start in range(0, len(body), _FRAME_BYTES)]
    return (
        opening(window)
        + frame(HEADERS, END_HEADERS, 1, headers(method))
        + b"".join(frame(DATA, 0, 1, part) for part in parts)
    )


ATTACKS = (
    Attack("half a request", _half_request),
    Attack("half a header", _half_header),
    Attack("half of HTTP/2's preface", _half_preface),
    Attack("half a TLS handshake", _half_handshake, tls=True),
    Attack("a stream whose responses are not read", _unread_stream),
)


@contextmanager
def holding(attack: Attack, port: int, count: int, payload: bytes) -> Iterator[list[socket.socket]]:
    """Open `count` connections that have sent their part, and close them afterwards."""
    data = attack.sent(payload)
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            each = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            each.sendall(data)
            sockets.append(each)
        yield sockets


def still_open(sockets: list[socket.socket]) -> int:
    """Return how many connections the server has not closed."""
    count = 0
    for each in sockets:
        each.setblocking(False)
        try:
            while data := each.recv(65536):
                pass
            count += bool(data)
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count
