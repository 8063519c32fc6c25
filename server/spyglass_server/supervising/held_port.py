"""The port that the worker processes share: held by the supervisor, which does not listen on it."""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from spyglass_server.listening import ListenError, bind_problem

_log = logging.getLogger(__name__)

# If a supervisor was killed, its workers need about 1 s to notice and to close their sockets.
_PATIENCE_SECONDS = 3.0
_PAUSE_SECONDS = 0.1
# If the port that was free for the first address is in use for another one, another port is tried.
_FREE_PORT_ATTEMPTS = 20
# This machine has no such address, or no IPv6 at all: gRPC listens on the others.
_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_WILDCARDS = ("0.0.0.0", "::")


@contextmanager
def held_port(host: str, port: int, what: str = "the server") -> Iterator[int]:
    """Hold a port of every address of `host`, and yield its number; port 0 is any free one.

    `what` listens on it, for messages. Sockets with SO_REUSEPORT of the same user may then do so, too, and
    no others. Raises ListenError: the port is in use, also by the workers of another supervisor.
    """
    ends = time.monotonic() + (_PATIENCE_SECONDS if port else 0)
    waiting = False
    with ExitStack() as held:
        while True:
            try:
                number = _hold(host, port, held)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > ends:
                    reason = bind_problem(host, port) or (error.strerror or str(error)).lower()
                    raise ListenError(f"{what} cannot listen on {host}:{port}: {reason}") from error
            if not waiting:
                waiting = True
                _log.info("port %d is in use: waiting for up to %g s", port, _PATIENCE_SECONDS)
            time.sleep(_PAUSE_SECONDS)
        yield number


def _hold(host: str, port: int, held: ExitStack) -> int:
    """Bind sockets to all addresses of a host. Raises OSError; then no socket is bound."""
    for attempt in range(_FREE_PORT_ATTEMPTS):
        sockets: list[socket.socket] = []
        number, missing = port, None
        try:
            for family, address in _addresses(host):
                try:
                    bound = _bound(family, address, number)
                except OSError as error:
                    if error.errno not in _MISSING:
                        raise
                    missing = error
                    continue
                sockets.append(bound)
                number = bound.getsockname()[1]
            if not sockets:
                raise missing or OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
        except OSError as error:
            for each in sockets:
                each.close()
            if port or error.errno != errno.EADDRINUSE or attempt == _FREE_PORT_ATTEMPTS - 1:
                raise
            continue
        for each in sockets:
            held.enter_context(each)
        return number
    raise AssertionError("unreachable")


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """Return the families and addresses of a host, as gRPC listens on them."""
    name = host.removeprefix("[").removesuffix("]")
    if name in _WILDCARDS:
        # gRPC takes either as every address of both kinds, if the machine has IPv6.
        return [(socket.AF_INET6, "::")] if socket.has_dualstack_ipv6() else [(socket.AF_INET, "0.0.0.0")]
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
        # Connections of an earlier server that are still being closed are no obstacle.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Not yet with SO_REUSEPORT: this fails if anybody else has the port, also another supervisor.
        made.bind((address, port))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        made.close()
        raise
    return made
