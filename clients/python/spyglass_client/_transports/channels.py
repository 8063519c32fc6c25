"""gRPC channels and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spyglass_client._options import ANONYMOUS, DEFAULT_TIMEOUT, Credentials, Timeout
from spyglass_client._transports.addresses import Address, parse_addresses
from spyglass_contract.errors import InvalidInput, SpyglassError

if TYPE_CHECKING:
    import grpc

_UNLIMITED = -1
# gRPC's options are 32-bit integers.
_LARGEST_OPTION = 2**31 - 1


def open_channel(
    target: str,
    *,
    timeout: Timeout = DEFAULT_TIMEOUT,
    credentials: Credentials = ANONYMOUS,
    proxy: bool = True,
) -> grpc.Channel:
    """Return the channel that `Client` would open to one server; it connects when it is first used.

    It does not send `credentials.token`: the client does. Without `proxy` it ignores the proxies in the
    environment. Raises InvalidInput for a malformed address, for several, and for a token that would be sent
    without encryption.
    """
    addresses = parse_addresses(target)
    if len(addresses) > 1:
        raise InvalidInput(
            f"expected the address of one server, not of {len(addresses)}",
            reason="ADDRESS_INVALID",
            field="server",
        )
    return open_address(addresses[0], timeout, credentials, proxy=proxy)


def open_address(
    address: Address, timeout: Timeout, credentials: Credentials, *, proxy: bool = True
) -> grpc.Channel:
    """Return a channel to `address`. Raises InvalidInput if the address and `credentials` do not fit."""
    # gRPC takes long to import: not before it is needed.
    import grpc

    options = channel_options(timeout, proxy=proxy and not address.local)
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


def channel_options(timeout: Timeout, *, proxy: bool) -> list[tuple[str, int]]:
    """Return the options of a channel; times are in milliseconds."""
    return [
        # The server limits the size of messages.
        ("grpc.max_send_message_length", _UNLIMITED),
        ("grpc.max_receive_message_length", _UNLIMITED),
        # Pings find a dead connection while a call waits on it. The server allows a ping every ten seconds.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # gRPC uses this as the least time for one attempt to connect.
        ("grpc.min_reconnect_backoff_ms", max(1, round(min(timeout.connect * 1000, _LARGEST_OPTION)))),
        # The client connects soon after a server starts.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.enable_http_proxy", int(proxy)),
        # Each client has a connection of its own: a server shares its time fairly among connections.
        ("grpc.use_local_subchannel_pool", 1),
    ]
