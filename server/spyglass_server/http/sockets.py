"""The sockets of the HTTP port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import Any

from spyglass_server.listening import ListenError, why_not

BACKLOG = 1024
"""Connections that wait until the port takes them."""

# Another process can take the port of the first address before that of the second one is bound.
_ATTEMPTS = 8


def bound_sockets(host: str, port: int, *, shared: bool) -> list[socket.socket]:
    """Return a socket for each address of a host that this machine has, all with the same port.

    `shared`: other processes of this user listen on it, too. Raises ListenError.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = [(family, address) for family, _, _, _, address in found]
        for attempt in range(_ATTEMPTS):
            try:
                return bound_to(addresses, port, shared=shared)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError
    except (OSError, OverflowError, UnicodeError) as error:
        raise ListenError(f"HTTP cannot listen on {host}:{port}: {why_not(host, port)}") from error


def bound_to(addresses: Iterable[tuple[int, Any]], port: int, *, shared: bool) -> list[socket.socket]:
    """Return a socket for each address that this machine has. Raises OSError if it has none of them."""
    found: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in dict.fromkeys(addresses):
        try:
            found.append(_bound_socket(family, (address[0], port, *address[2:]), shared=shared))
        except OSError as error:
            # Such as `::1`, which a name can have on a machine without IPv6.
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                missing = error
                continue
            for bound in found:
                bound.close()
            raise
        port = found[0].getsockname()[1]
    if not found and missing:
        raise missing
    return found


def _bound_socket(family: int, address: tuple[Any, ...], *, shared: bool) -> socket.socket:
    # asyncio sends small packets at once only if the protocol is named; else a response takes 40 ms longer.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if family == socket.AF_INET6:
            # `[::]` takes IPv4, too, as it does for gRPC.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
