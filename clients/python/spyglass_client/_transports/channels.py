"""gRPC channels and their options."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spyglass_client._options import (
    ANONYMOUS,
    DEFAULT_KEEP_ALIVE,
    DEFAULT_TIMEOUT,
    Credentials,
    KeepAlive,
    Timeout,
)
from spyglass_client._transports.addresses import Address, parse_addresses
from spyglass_contract.errors import InvalidInput, SpyglassError

if TYPE_CHECKING:
    import grpc

_UNLIMITED = -1
# gRPC's options are 32-bit integers.
_LARGEST_OPTION = 2**31 - 1
# gRPC looks a name up again when it loses a connection, but not more often than this.
_LOOK_UP_MS = 2_000


@dataclass(frozen=True)
class ConnectionOptions:
    """The options that all connections of a client share."""

    timeout: Timeout = DEFAULT_TIMEOUT
    credentials: Credentials = ANONYMOUS
    keep_alive: KeepAlive = DEFAULT_KEEP_ALIVE
    # Whether calls go to all IP addresses of a name in turn, and not to the first one that can be reached.
    round_robin: bool = False
    # Whether only servers get calls whose health service says that they serve; this needs `round_robin`.
    health: bool = False
    proxy: bool = True


def open_channel(
    target: str,
    *,
    timeout: Timeout = DEFAULT_TIMEOUT,
    credentials: Credentials = ANONYMOUS,
    keep_alive: KeepAlive = DEFAULT_KEEP_ALIVE,
    proxy: bool = True,
) -> grpc.Channel:
    """Return the channel that `Client` would open to one server; it connects when it is first used.

    It does not send `credentials.token`: the client does. Without `proxy` it ignores the proxies in the
    environment. If a name has several IP addresses, the channel uses one that it can reach.

    Raises InvalidInput for a malformed address, for several, and for a token that would be sent without
    encryption.
    """
    addresses = parse_addresses(target)
    if len(addresses) > 1:
        raise InvalidInput(
            f"expected the address of one server, not of {len(addresses)}",
            reason="ADDRESS_INVALID",
            field="server",
        )
    return open_address(addresses[0], ConnectionOptions(timeout, credentials, keep_alive, proxy=proxy))


def open_address(address: Address, connection: ConnectionOptions) -> grpc.Channel:
    """Return a channel to `address`. Raises InvalidInput if the address and the credentials do not fit."""
    # gRPC takes long to import: not before it is needed.
    import grpc

    credentials = connection.credentials
    options = channel_options(address, connection)
    if needs_tls(address, credentials):
        tls = grpc.ssl_channel_credentials(credentials.ca, credentials.key, credentials.certificate)
        name = credentials.server_name
        named = [("grpc.ssl_target_name_override", name)] if name else []
        return grpc.secure_channel(address.target, tls, [*options, *named])
    return grpc.insecure_channel(address.target, options)


def call_error(error: grpc.RpcError) -> SpyglassError:
    """Return the error that `Client` would raise for a failed call of such a channel."""
    from spyglass_client._transports.rpc_errors import error_from_rpc

    return error_from_rpc(error)


def needs_tls(address: Address, credentials: Credentials) -> bool:
    """Return whether to use TLS.

    Raises InvalidInput if the scheme says no and the credentials say yes, and for a token that others could
    read on its way.
    """
    if address.tls is False and credentials.encrypted:
        raise InvalidInput(
            "an address with http://, grpc:// or tcp:// is without TLS, but the credentials turn TLS on; "
            "write https://HOST:PORT or HOST:PORT",
            reason="ADDRESS_INVALID",
            field="server",
        )
    tls = credentials.encrypted if address.tls is None else address.tls
    if credentials.token and not (tls or address.local or credentials.insecure_token):
        raise InvalidInput(
            "a token goes to another machine only with TLS: write https://HOST:PORT or set the certificate "
            "authorities (ca, --ca); if a proxy encrypts, set insecure_token (--insecure-token)",
            reason="TOKEN_NOT_ENCRYPTED",
            field="server",
        )
    return tls


def channel_options(address: Address, connection: ConnectionOptions) -> list[tuple[str, int | str]]:
    """Return the options of a channel; times are in milliseconds."""
    options: list[tuple[str, int | str]] = [
        # The server limits the size of messages.
        ("grpc.max_send_message_length", _UNLIMITED),
        ("grpc.max_receive_message_length", _UNLIMITED),
        # gRPC uses this as the least time for one attempt to connect.
        ("grpc.min_reconnect_backoff_ms", _milliseconds(connection.timeout.connect)),
        # The client connects soon after a server starts.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.dns_min_time_between_resolutions_ms", _LOOK_UP_MS),
        ("grpc.enable_http_proxy", int(connection.proxy and not address.local)),
        # Each client has a connection of its own: a server shares its time fairly among connections.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return [*options, *_keep_alive_options(connection.keep_alive), *_service_config(address, connection)]


def _keep_alive_options(keep_alive: KeepAlive) -> list[tuple[str, int | str]]:
    """Return the options for pings that find a dead connection."""
    return [
        ("grpc.keepalive_time_ms", _milliseconds(keep_alive.interval)),
        ("grpc.keepalive_timeout_ms", _milliseconds(keep_alive.timeout)),
        # Without this, gRPC 1.85 waits 60 s for the response to a ping, whatever the option above says.
        ("grpc.http2.ping_timeout_ms", _milliseconds(keep_alive.timeout)),
        ("grpc.keepalive_permit_without_calls", int(keep_alive.idle)),
        # Without this, gRPC sends only two pings in a time without data, however long a call takes.
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _service_config(address: Address, connection: ConnectionOptions) -> list[tuple[str, int | str]]:
    """Return the option for round robin and health checks; none if gRPC's own rules are to hold.

    https://github.com/grpc/grpc/blob/master/doc/service_config.md
    """
    if not connection.round_robin or address.is_local_name or address.target.startswith("xds:"):
        return []
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if connection.health:
        config["healthCheckConfig"] = {"serviceName": ""}
    return [("grpc.service_config", json.dumps(config))]


def _milliseconds(seconds: float) -> int:
    # The largest value turns pings off.
    return max(1, round(min(seconds * 1000, _LARGEST_OPTION))) if seconds < math.inf else _LARGEST_OPTION
