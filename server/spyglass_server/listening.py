"""The cause if the server cannot listen on its address."""

from __future__ import annotations

import errno
import os
import socket

from spyglass_contract.errors import SpyglassError

_HINTS = {
    errno.EADDRINUSE: "another process uses this port",
    errno.EACCES: "this user may not use this port; ports below 1024 need a privilege",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EAFNOSUPPORT: "this machine has no such kind of address",
}


class ListenError(SpyglassError):
    """The server cannot listen on an address."""

    default_reason = "CANNOT_LISTEN"


def why_not(host: str, port: int) -> str:
    """Return the reason why gRPC could not listen on an address; gRPC itself only reports that it failed."""
    if host.startswith("unix:"):
        return "the path of a unix socket must be in a folder that exists, and at most 107 bytes long"
    return bind_problem(host, port) or ("gRPC reports no cause; write the address as HOST, 10.0.0.7 or [::1]")


def bind_problem(host: str, port: int) -> str:
    """Return why no socket can listen on an address, an empty text if one can: it is closed at once."""
    name = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        return f"{name!r} is not an address or a host name of this machine"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
        except OSError as error:
            return _HINTS.get(error.errno or 0) or os.strerror(error.errno or 0).lower()
    return ""
