"""The addresses of servers, as people write them, and gRPC's form of them.

host                        port 50051
host:port                   a name, an IPv4 address, or an IPv6 address as [::1]:50051
::1                         an IPv6 address without a port
http://host:port            without TLS, as are grpc:// and tcp://
https://host:port           with TLS, as is grpcs://; the port defaults to 443
unix:/path                  a Unix socket, as are unix:///path and unix-abstract:name
dns:///host:port            all servers whose IP addresses the name has; also with a DNS server: dns://10.0.0.53/host
ipv4:1.2.3.4:50051          gRPC's own forms, as are ipv6: and xds:
a:50051,b:50051             several servers
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from spyglass_contract.errors import InvalidInput

DEFAULT_PORT = 50051
_HTTPS_PORT = 443

# Whether a scheme turns TLS on; None: the credentials decide.
_URL_SCHEMES = {"http": False, "grpc": False, "tcp": False, "https": True, "grpcs": True}
_SOCKET_SCHEMES = ("unix", "unix-abstract")
_GRPC_SCHEMES = ("dns", "ipv4", "ipv6", "xds")

_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback")
_EXPECTED = "HOST, HOST:PORT, [IPV6]:PORT, http://HOST:PORT, https://HOST:PORT or unix:/PATH"
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_MAX_NAME = 253
# The longest path of a Unix socket on Linux, without the final zero.
_MAX_SOCKET_PATH = 107
_MAX_ADDRESSES = 64
_MAX_QUOTED = 100


@dataclass(frozen=True)
class Address:
    """The address of one server."""

    # As gRPC takes it, such as "dns:///localhost:50051" or "unix:/run/spyglass.sock".
    target: str
    # None: the credentials decide.
    tls: bool | None = None
    # True for Unix sockets and loopback addresses, which no proxy can reach.
    local: bool = False
    # True for dns://: the name stands for several servers, and all of them get calls.
    several: bool = field(default=False, compare=False)

    @property
    def is_local_name(self) -> bool:
        """Whether this is a name of this machine, such as localhost: its IP addresses are one server."""
        return self.local and self.target.startswith("dns:")


def parse_addresses(servers: str | Sequence[str]) -> tuple[Address, ...]:
    """Return the addresses in a text of one or more, separated by commas, or in several texts.

    Blanks do not matter. Raises InvalidInput, without looking up any name, if one of them is malformed.
    """
    parts = [servers] if isinstance(servers, str) else servers
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise InvalidInput(
            f"the server's address must be text such as {_EXPECTED}, or a list of these, not "
            f"{type(servers).__name__}",
            reason="ADDRESS_INVALID",
            field="server",
        )
    entries = [(entry.strip(), part) for part in parts for entry in _entries(part)]
    if not entries:
        raise _invalid("", "there is no address")
    if len(entries) > _MAX_ADDRESSES:
        raise _invalid(parts[0], f"there are more than {_MAX_ADDRESSES} addresses")
    addresses = (_parse(entry, part) for entry, part in entries)
    # Without duplicates: to try the same server again is not to try another one.
    return tuple(dict.fromkeys(addresses))


def _entries(text: str) -> list[str]:
    scheme, colon, rest = text.strip().partition(":")
    if colon and scheme.lower() in ("ipv4", "ipv6"):
        return [f"{scheme}:{entry.strip()}" for entry in rest.split(",")]
    return text.split(",")


def _parse(entry: str, text: str) -> Address:
    if not entry:
        raise _invalid(text, "there is no address" if not text.strip() else "one of the addresses is empty")
    if any(character.isspace() or not character.isprintable() for character in entry):
        raise _invalid(text, "an address cannot contain blanks or control characters")
    scheme, colon, rest = entry.partition(":")
    scheme = scheme.lower()
    if colon and scheme in _SOCKET_SCHEMES:
        return _parse_socket(scheme, rest, text)
    if colon and scheme in _GRPC_SCHEMES:
        return _parse_grpc(scheme, rest, text)
    if "://" in entry:
        return _parse_url(scheme, rest.removeprefix("//"), text)
    host, port = _host_and_port(entry, text)
    return _address(host, port or DEFAULT_PORT, None)


def _parse_url(scheme: str, rest: str, text: str) -> Address:
    if scheme not in _URL_SCHEMES:
        raise _invalid(text, f"the scheme {scheme[:_MAX_QUOTED]}:// is unknown")
    tls = _URL_SCHEMES[scheme]
    authority = rest.removesuffix("/")
    if re.search(r"[/?#]", authority):
        raise _invalid(text, "an address has no path")
    if "@" in authority:
        # The message must not show what may be a password.
        raise _invalid("", "an address has no user and password; pass a token instead")
    host, port = _host_and_port(authority, text)
    return _address(host, port or (_HTTPS_PORT if scheme == "https" else DEFAULT_PORT), tls)


def _parse_socket(scheme: str, rest: str, text: str) -> Address:
    # gRPC takes unix:path, unix:/path and unix:///path.
    path = rest[2:] if rest.startswith("///") else rest
    if not path or path.startswith("//"):
        raise _invalid(text, f"{scheme}: needs a path, as in unix:/run/spyglass.sock")
    if len(path.encode()) > _MAX_SOCKET_PATH:
        raise _invalid(text, f"the path of a Unix socket has at most {_MAX_SOCKET_PATH} bytes")
    return Address(f"{scheme}:{path}", local=True)


def _parse_grpc(scheme: str, rest: str, text: str) -> Address:
    if scheme == "xds":
        if not rest.startswith("///") or len(rest) == 3:
            raise _invalid(text, "xds: needs a name, as in xds:///spyglass")
        return Address(f"xds:{rest}")
    server, endpoint = "", rest
    if rest.startswith("//"):
        server, slash, endpoint = rest[2:].partition("/")
        if not slash:
            raise _invalid(text, f"{scheme}:// needs a third slash, as in {scheme}:///host:50051")
    host, port = _host_and_port(endpoint, text)
    address = replace(_address(host, port or DEFAULT_PORT, None), several=scheme == "dns")
    if scheme != "dns":
        # gRPC resolves the same target either way, and a target without a scheme can be a part of a list.
        if not isinstance(_ip(host), IPv4Address if scheme == "ipv4" else IPv6Address):
            raise _invalid(text, f"{scheme}: needs an IP address of that kind")
        return address
    if not server:
        return address
    # A DNS server of the caller's choice.
    _host_and_port(server, text)
    return replace(address, target=f"dns://{server}/{address.target.removeprefix('dns:///')}")


def _host_and_port(authority: str, text: str) -> tuple[str, int | None]:
    """Split HOST, HOST:PORT, IPV6 or [IPV6]:PORT. Raises InvalidInput."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or not isinstance(_ip(host), IPv6Address):
            raise _invalid(text, "brackets are for an IPv6 address, as in [::1]:50051")
        return host, _port(port[1:], text) if port else None
    if authority.count(":") > 1:
        if _ip(authority) is None:
            raise _invalid(text, "write an IPv6 address with a port as [::1]:50051")
        return authority, None
    host, colon, port = authority.partition(":")
    return _name(host, text), _port(port, text) if colon else None


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise _invalid(whole, "the port must be a number from 1 to 65535")
    return int(text)


def _name(host: str, text: str) -> str:
    """Return a name of a host, in ASCII, or an IPv4 address. Raises InvalidInput."""
    if not host:
        raise _invalid(text, "the host is missing")
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as error:
        raise _invalid(text, "the host is not a name") from error
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid(text, "the host is not a name")
    if labels[-1].isdigit() and _ip(name) is None:
        raise _invalid(text, "the host is neither a name nor an IPv4 address")
    return name


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _address(host: str, port: int, tls: bool | None) -> Address:
    ip = _ip(host)
    if ip is not None and ip.is_unspecified:
        # A server that listens on every address is reached at the loopback one.
        ip = ip_address("::1" if ip.version == 6 else "127.0.0.1")
    if ip is None:
        bare = host.lower().removesuffix(".")
        local = bare in _LOOPBACK_NAMES or bare.endswith(".localhost")
        # With its scheme: gRPC would take a host called "xds" or "vsock" for one.
        return Address(f"dns:///{host}:{port}", tls, local)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    local = (mapped or ip).is_loopback
    return Address(f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}", tls, local)


def _invalid(text: str, cause: str) -> InvalidInput:
    shown = f" in {text[:_MAX_QUOTED]!r}" if text.strip() else ""
    return InvalidInput(
        f"the server's address must be {_EXPECTED}: {cause}{shown}", reason="ADDRESS_INVALID", field="server"
    )
