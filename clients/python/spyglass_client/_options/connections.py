"""How a client spreads its calls, and how it keeps its connections alive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from spyglass_client._options.timeouts import is_time

Policy = Literal["round_robin", "failover"]

MAX_CONNECTIONS = 16
SHORTEST_INTERVAL = 10.0


@dataclass(frozen=True)
class Balance:
    """How a client spreads its calls over several servers.

    With `policy` "round_robin", all servers that are available get calls in turn; with "failover", the first
    one of the addresses that is available gets all calls. `connections` is the number of connections to each
    address, from 1 to 16: more than one is for processes that share a port, and for more calls at a time than
    a server allows on one connection. With `health`, a server gets no new calls while its health service
    reports NOT_SERVING, for example while it stops; a server without a health service counts as healthy.

    The client chooses among several addresses, among several connections, and with `dns:///HOST:PORT` among
    all IP addresses of the name. A client with one connection has nothing to choose, and makes no use of
    `policy` and `health`. Raises ValueError for values out of range.
    """

    policy: Policy = "round_robin"
    connections: int = 1
    health: bool = True

    def __post_init__(self) -> None:
        if (
            self.policy not in get_args(Policy)
            or not _is_count(self.connections)
            or not 1 <= self.connections <= MAX_CONNECTIONS
            or not isinstance(self.health, bool)
        ):
            raise ValueError(
                "Balance needs policy 'round_robin' or 'failover', a whole number of connections from 1 to "
                f"{MAX_CONNECTIONS}, and health True or False, not {self}"
            )


@dataclass(frozen=True)
class KeepAlive:
    """How a client finds out that a connection is dead: by pings, times in seconds.

    After `interval` seconds in which nothing arrived, the client sends a ping. If no response to a ping
    arrives within `timeout` seconds, the connection is lost, and the client retries the calls on it. An
    infinite `interval` turns these pings off. Without `idle`, the client sends them only while a call is in
    progress; with `idle` always: then gateways between client and server do not forget a connection without
    calls.

    A server of Spyglass allows a ping every 10 seconds, and closes connections with more. Raises ValueError
    unless interval >= 10 and timeout > 0.
    """

    interval: float = 30.0
    timeout: float = 10.0
    idle: bool = False

    def __post_init__(self) -> None:
        if (
            not is_time(self.interval)
            or not self.interval >= SHORTEST_INTERVAL
            or not is_time(self.timeout)
            or math.isinf(self.timeout)
            or not isinstance(self.idle, bool)
        ):
            raise ValueError(
                f"KeepAlive needs interval >= {SHORTEST_INTERVAL:g} seconds, which servers allow, a finite "
                f"timeout > 0, and idle True or False, not {self}"
            )


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)
