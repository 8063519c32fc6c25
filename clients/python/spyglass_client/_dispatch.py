"""What both clients share: the transport, and the options of every call."""

from __future__ import annotations

from collections.abc import Callable

from spyglass_client._attempts import Attempts
from spyglass_client._budget import Budget
from spyglass_client._calls import Call, ImageCall, Result
from spyglass_client._hedging import HEDGED_METHODS
from spyglass_client._options import Hedging, Retry, Timeout
from spyglass_client._streams.pipeline import Pipeline
from spyglass_client._transports.transport import (
    DirectRoute,
    NonBlockingTransport,
    Route,
    RoutingTransport,
    Transport,
)
from spyglass_contract.errors import InvalidInput


class Dispatch:
    """Gives each call its way through the transport, its deadline, and its attempts."""

    def __init__(self, transport: Transport, timeout: Timeout, retry: Retry, hedging: Hedging | None) -> None:
        """Raises ValueError if `transport` cannot send hedged requests."""
        self.transport = transport
        self.blocking = not isinstance(transport, NonBlockingTransport)
        if hedging is not None and self.blocking:
            raise ValueError("hedging needs a transport with the method `start`, see NonBlockingTransport")
        self._timeout = timeout
        self._retry = retry
        self._hedging = hedging
        self._budget = Budget(retry.budget)
        # Only transports of gRPC have several.
        self._has_several_servers = getattr(transport, "has_several_servers", False)
        self.route: Callable[[], Route]
        if isinstance(transport, RoutingTransport):
            self.route = transport.route
        else:
            direct = DirectRoute(transport)
            self.route = lambda: direct

    def attempts(self, call: Call[Result], timeout: float | None) -> Attempts:
        """Return the attempts of a call that starts now.

        Raises InvalidInput for an invalid `timeout`, and for a change of models if there are several servers.
        """
        if call.service == "Admin" and self._has_several_servers:
            raise InvalidInput(
                f"{call.method} changes one server, and the client has the address of several; make a client "
                "with the address of each (HOST:PORT)",
                reason="SEVERAL_SERVERS",
                field="server",
            )
        seconds = self._timeout.override(timeout)
        return Attempts(self._retry, seconds, self._budget, repeatable=call.repeatable)

    def hedging(self, call: Call[Result]) -> Hedging | None:
        """Return when to hedge `call`; None: never."""
        return self._hedging if call.method in HEDGED_METHODS else None

    def pipeline(
        self,
        image_call: ImageCall[Result],
        window: int,
        progress: Callable[[int], object] | None,
        timeout: float | None,
        route: Route,
    ) -> Pipeline[Result]:
        """Return the plan of a stream over `route`. Raises InvalidInput for an invalid `timeout`."""
        return Pipeline(
            read=image_call.read,
            window=window,
            retry=self._retry,
            seconds=self._timeout.override(timeout),
            progress=progress,
            budget=self._budget,
            elsewhere=lambda: route.elsewhere,
        )
