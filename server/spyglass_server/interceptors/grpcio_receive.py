"""The reception of a message without a thread that waits for it. Only this file uses grpcio's private names.

grpcio's server gives a call a thread first, and that thread waits for the message: callers that send slowly,
or send only half of a message, take every thread. Here a call gets its thread when its message has arrived.
If a version of grpcio has other names, `PendingCall.of` returns None, and each call waits on a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

Received = Callable[[bytes | None], object]
"""A callback. It gets the bytes of a message, or None if the caller sends no more or has disconnected."""

_NAMES = ("_receive_message", "_RECEIVE_MESSAGE_TOKEN", "_RPCState", "_is_rpc_state_active")


class PendingCall:
    """A call that grpcio has announced, and whose messages are still unread."""

    def __init__(self, call: Any, state: Any) -> None:
        self._call = call
        self._state = state

    @classmethod
    def of(cls, arguments: tuple[Any, ...]) -> PendingCall | None:
        """Return the call of the arguments that grpcio submits to a pool; None if their form is unknown.

        grpcio submits `(function, rpc_event, state, behaviour, …)`.
        """
        if not all(hasattr(_server, name) for name in _NAMES) or len(arguments) < 4:
            return None
        event, state = arguments[1], arguments[2]
        if not isinstance(state, _server._RPCState) or not hasattr(event, "call"):
            return None
        return cls(event.call, state)

    def peer(self) -> str:
        """Return the address of the caller, as `ServicerContext.peer` does."""
        return str(self._call.peer().decode("utf-8", "replace"))

    def cancel(self) -> None:
        """End the call without a status of the server; its caller gets CANCELLED."""
        self._call.cancel()

    def receive(self, received: Received) -> None:
        """Read the next message. `received` is called once, on gRPC's own thread: it must not block."""
        finish = _server._receive_message(self._state, self._call, None)

        def tag(event: Any) -> Any:
            result = finish(event)
            with self._state.condition:
                message, self._state.request = self._state.request, None
            received(message)
            return result

        with self._state.condition:
            active = _server._is_rpc_state_active(self._state)
            if active:
                self._call.start_server_batch((cygrpc.ReceiveMessageOperation(0),), tag)
                self._state.due.add(_server._RECEIVE_MESSAGE_TOKEN)
        if not active:
            received(None)


def caller_of(peer: str) -> str:
    """Return the address in a peer such as `ipv4:10.0.0.7:51234`, without the port of the connection."""
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer
