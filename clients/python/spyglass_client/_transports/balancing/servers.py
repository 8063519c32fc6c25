"""A transport over several connections: each call goes to one that is available."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count

from google.protobuf.message import Message

from spyglass_client._options.connections import Policy
from spyglass_client._transports.balancing.availability import Availability, State
from spyglass_client._transports.balancing.routes import BalancedRoute, Pending, Stream
from spyglass_client._transports.per_process import PerProcess
from spyglass_client._transports.transport import NonBlockingTransport


class Server:
    """One connection to one of the addresses, and whether it is available."""

    def __init__(
        self, transport: NonBlockingTransport, name: str, availability: Callable[[], Availability]
    ) -> None:
        """`name` is the address. Each process calls `availability` at its first call."""
        self.transport = transport
        self.name = name
        self._availability = PerProcess(availability)

    @property
    def availability(self) -> Availability:
        """What is known of the connection in this process."""
        return self._availability.get()

    def close(self) -> None:
        """Close the connection."""
        self._availability.close()
        self.transport.close()


class BalancedServers:
    """Gives each call a server of its own: in turn, or the first one that is available.

    If none is available, calls go to servers that are not connected yet, and then to any: as gRPC has then
    failed to connect, these calls fail at once.
    """

    def __init__(
        self, servers: Sequence[Server], policy: Policy, *, has_several_servers: bool = True
    ) -> None:
        """`servers` are in the order of preference; those with one name are equal. `close` closes them.

        Without `has_several_servers`, all of them are connections to one server.
        """
        self.has_several_servers = has_several_servers
        self.servers = tuple(servers)
        self._ranks = [0] * len(self.servers)
        self._failover = policy == "failover"
        if self._failover:
            names = list(dict.fromkeys(server.name for server in self.servers))
            self._ranks = [names.index(server.name) for server in self.servers]
        # Not always from the first one: a thousand clients with one call each should not all call it.
        self._turns = count(random.randrange(len(self.servers)))

    def route(self) -> BalancedRoute:
        """Return the way of one call."""
        return BalancedRoute(self, next(self._turns))

    def pick(self, turn: int, tried: Collection[int]) -> int:
        """Return the number of the server for the attempt of a call that `tried` some servers already.

        It is among the servers in the best state; of these, among those that were not tried; of these, among
        those with another address than the tried ones.
        """
        rounds, number = divmod(turn, len(self.servers))
        if not tried and not self._failover and self.servers[number].availability.state is State.AVAILABLE:
            return number
        states = [server.availability.state for server in self.servers]
        if self._failover:
            # The first one comes first, although another one was faster to connect.
            states = [State.AVAILABLE if state is State.UNKNOWN else state for state in states]
        best = min(states)
        pool = [number for number, state in enumerate(states) if state is best]
        if tried:
            pool = [number for number in pool if number not in tried] or pool
            names = {self.servers[number].name for number in tried}
            pool = [number for number in pool if self.servers[number].name not in names] or pool
        rank = min(self._ranks[number] for number in pool)
        pool = [number for number in pool if self._ranks[number] == rank]
        # The others share the turns of a server that is not available: one each round.
        return pool[(turn if self._failover else rounds) % len(pool)]

    def has_other(self, turn: int, tried: Collection[int]) -> bool:
        """Return whether the next attempt goes to a server that was not tried and may be available."""
        number = self.pick(turn, tried)
        return number not in tried and self.servers[number].availability.state < State.UNAVAILABLE

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """See `Transport.send`."""
        return self.route().send(method, request, timeout)

    def start(self, method: str, request: Message, timeout: float | None) -> Pending:
        """See `NonBlockingTransport.start`."""
        return self.route().start(method, request, timeout)

    def stream(self, method: str, requests: Iterator[Message]) -> Stream:
        """See `Transport.stream`."""
        return self.route().stream(method, requests)

    def close(self) -> None:
        """Close the connections to all servers."""
        for server in self.servers:
            server.close()
