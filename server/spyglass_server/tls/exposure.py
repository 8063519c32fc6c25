"""Whether others can reach a host that the server listens on."""

from __future__ import annotations

import ipaddress

LOOPBACK = "localhost"
EVERY_ADDRESS = "[::]"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`: a loopback address, `localhost`, or a Unix socket."""
    if host.startswith("unix"):
        return True
    name = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".").lower() == LOOPBACK
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
