"""The transport of a client, made from its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from spyglass_client._options import (
    ANONYMOUS,
    DEFAULT_BALANCE,
    DEFAULT_KEEP_ALIVE,
    Balance,
    Credentials,
    KeepAlive,
    Timeout,
)
from spyglass_client._transports.addresses import DEFAULT_PORT, Address, parse_addresses
from spyglass_client._transports.channels import ConnectionOptions, needs_tls, open_address
from spyglass_client._transports.transport import NonBlockingTransport, Transport

if TYPE_CHECKING:
    import grpc

    from spyglass_client._transports.balancing.servers import Server

DEFAULT_TARGET = f"localhost:{DEFAULT_PORT}"

Metadata = tuple[tuple[str, str], ...]

_BULK = (("x-priority", "bulk"),)


def transport_for(
    target: str | Sequence[str],
    timeout: Timeout,
    credentials: Credentials,
    open_channel: Callable[[], grpc.Channel] | None,
    transport: Transport | None,
    *,
    bulk: bool,
    balance: Balance = DEFAULT_BALANCE,
    keep_alive: KeepAlive = DEFAULT_KEEP_ALIVE,
) -> Transport:
    """Return `transport`, or a gRPC transport with these options.

    Raises ValueError for options that exclude each other, and InvalidInput for a malformed `target`.
    """
    own_connection = balance != DEFAULT_BALANCE or keep_alive != DEFAULT_KEEP_ALIVE
    if transport is not None:
        if (
            target != DEFAULT_TARGET
            or credentials != ANONYMOUS
            or open_channel is not None
            or bulk
            or own_connection
        ):
            raise ValueError(
                "pass either transport or target, credentials, bulk, balance, keep_alive and open_channel, "
                "not both"
            )
        return transport
    metadata = credentials.metadata + (_BULK if bulk else ())
    if open_channel is not None:
        if own_connection:
            raise ValueError("pass either open_channel or balance and keep_alive, not both")
        return _grpc_transport(open_channel, metadata)
    addresses = parse_addresses(target)
    for address in addresses:
        # Now, and not at the first call.
        needs_tls(address, credentials)
    several = len(addresses) > 1 or balance.connections > 1
    options = ConnectionOptions(
        timeout,
        credentials,
        keep_alive,
        round_robin=several or (addresses[0].several and balance.policy == "round_robin"),
        health=balance.health,
    )
    if not several:
        return _grpc_transport(partial(open_address, addresses[0], options), metadata)
    return _balanced(addresses, options, balance, metadata)


def _balanced(
    addresses: Sequence[Address], options: ConnectionOptions, balance: Balance, metadata: Metadata
) -> Transport:
    from spyglass_client._transports.balancing.servers import BalancedServers

    servers = [
        _server(address, options, metadata) for address in addresses for _ in range(balance.connections)
    ]
    return BalancedServers(servers, balance.policy)


def _server(address: Address, options: ConnectionOptions, metadata: Metadata) -> Server:
    from spyglass_client._transports.balancing.availability import Availability
    from spyglass_client._transports.balancing.probes import HealthProbe
    from spyglass_client._transports.balancing.servers import Server
    from spyglass_client._transports.grpc import GrpcTransport

    transport = GrpcTransport(partial(open_address, address, options), metadata)
    name = address.target.removeprefix("dns:///")

    def availability() -> Availability:
        return Availability(HealthProbe(transport.channel(), health=options.health))

    return Server(transport, name, availability)


def _grpc_transport(open_channel: Callable[[], grpc.Channel], metadata: Metadata) -> NonBlockingTransport:
    # gRPC takes long to import, and a client with another transport does not need it.
    from spyglass_client._transports.grpc import GrpcTransport

    return GrpcTransport(open_channel, metadata)
