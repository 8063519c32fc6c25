"""The transport of a client, chosen by its options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from spyglass_client._transports.addresses import DEFAULT_PORT, parse_addresses
from spyglass_client._transports.channels import needs_tls
from spyglass_client._transports.transport import Transport

if TYPE_CHECKING:
    import grpc

DEFAULT_TARGET = f"localhost:{DEFAULT_PORT}"

_BULK = (("x-priority", "bulk"),)


def transport_for(
    target: str | Sequence[str],
    timeout: Timeout,
    credentials: Credentials,
    open_channel: Callable[[], grpc.Channel] | None,
    transport: Transport | None,
    *,
    bulk: bool,
    balance: Balance,
    keep_alive: KeepAlive,
) -> Transport:
    """Return `transport`, or a gRPC transport with these options.

    Raises ValueError for options that exclude each other, and InvalidInput for a malformed `target`.
    """
    own_connection = balance != DEFAULT_BALANCE or keep_alive != DEFAULT_KEEP_ALIVE
    addressed = target != DEFAULT_TARGET or credentials != ANONYMOUS
    if transport is not None:
        if addressed or open_channel is not None or bulk or own_connection:
            raise ValueError(
                "pass either transport or target, credentials, bulk, balance, keep_alive and open_channel, "
                "not both"
            )
        return transport
    if open_channel is not None and own_connection:
        raise ValueError("pass either open_channel or balance and keep_alive, not both")
    metadata = credentials.metadata + (_BULK if bulk else ())
    addresses = parse_addresses(target) if open_channel is None else ()
    for address in addresses:
        # Now, and not at the first call.
        needs_tls(address, credentials)
    # gRPC takes long to import, and a client with another transport does not need it.
    from spyglass_client._transports.connecting import connected, over_channel

    if open_channel is not None:
        return over_channel(open_channel, metadata)
    return connected(addresses, timeout, credentials, balance, keep_alive, metadata)
