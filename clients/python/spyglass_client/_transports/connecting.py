"""gRPC transports to one or several addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import grpc

from spyglass_client._options import Balance, Credentials, KeepAlive, Timeout
from spyglass_client._transports.addresses import Address
from spyglass_client._transports.balancing.availability import Availability
from spyglass_client._transports.balancing.probes import HealthProbe
from spyglass_client._transports.balancing.servers import BalancedServers, Server
from spyglass_client._transports.channels import ConnectionOptions, open_address
from spyglass_client._transports.grpc import GrpcTransport
from spyglass_client._transports.transport import Transport

Metadata = tuple[tuple[str, str], ...]


def over_channel(open_channel: Callable[[], grpc.Channel], metadata: Metadata) -> Transport:
    """Return a transport over the caller's channel."""
    return GrpcTransport(open_channel, metadata)


def connected(
    addresses: Sequence[Address],
    timeout: Timeout,
    credentials: Credentials,
    balance: Balance,
    keep_alive: KeepAlive,
    metadata: Metadata,
) -> Transport:
    """Return a transport to `addresses`, which connects at its first call."""
    several_connections = len(addresses) > 1 or balance.connections > 1
    name = addresses[0].several and not addresses[0].is_local_name
    several_servers = len(addresses) > 1 or name
    options = ConnectionOptions(
        timeout,
        credentials,
        keep_alive,
        round_robin=several_connections or (name and balance.policy == "round_robin"),
        health=balance.health,
    )
    if not several_connections:
        opener = partial(open_address, addresses[0], options)
        return GrpcTransport(opener, metadata, has_several_servers=several_servers)
    servers = [
        _server(address, options, metadata) for address in addresses for _ in range(balance.connections)
    ]
    return BalancedServers(servers, balance.policy, has_several_servers=several_servers)


def _server(address: Address, options: ConnectionOptions, metadata: Metadata) -> Server:
    transport = GrpcTransport(partial(open_address, address, options), metadata)

    def availability() -> Availability:
        return Availability(HealthProbe(transport.channel(), health=options.health))

    return Server(transport, address.target.removeprefix("dns:///"), availability)
