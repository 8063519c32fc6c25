"""Bytes to a port, and what comes back."""

from __future__ import annotations

import socket


def exchange(port: int, data: bytes, seconds: float) -> bytes:
    """Send bytes, and return what comes until the other side closes; empty if it breaks the connection.

    Raises TimeoutError if nothing comes for so many seconds.
    """
    received = b""
    with socket.create_connection(("localhost", port), seconds) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            raise
        # The server has disconnected already.
        except OSError:
            return b""
    return received
