"""Calls whose messages come and go without a thread that waits, by private names of grpcio.

No other file but `grpcio_loop` uses private names.

grpcio's server gives a call a thread first, and that thread waits for the message: callers that send slowly,
or send only half of a message, take every thread. Here a call gets its thread when its message has arrived,
and any thread may send the response. If a version of grpcio has other names, `PendingCall.of` returns None,
and each call waits on a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import grpc
from grpc import _common, _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

Received = Callable[[bytes | None], object]
"""A callback. It gets the bytes of a message, or None if the caller sends no more or has disconnected."""

Metadata = tuple[tuple[str, str | bytes], ...]

AuthContext = Mapping[bytes, Sequence[bytes]]

_NAMES = (
    "_receive_message",
    "_RECEIVE_MESSAGE_TOKEN",
    "_RPCState",
    "_is_rpc_state_active",
    "_status",
    "_send_message",
    "_SEND_MESSAGE_TOKEN",
)


def is_known() -> bool:
    """Return whether this version of grpcio has the names that `PendingCall` needs."""
    return all(hasattr(_server, name) for name in _NAMES)


class AnnouncedCall:
    """A call that grpcio has announced, and for which nothing has begun yet."""

    __slots__ = ("_event", "ended")

    def __init__(self, event: Any) -> None:
        self._event = event
        self.ended: Callable[[object], object] = lambda token: None
        """Called before the end with a token of the call. Its last event has it, as grpcio's calls do."""

    def method(self) -> str:
        """Return the path of the method."""
        return str(self._event.call_details.method.decode("utf-8", "replace"))

    def peer(self) -> str:
        """Return the address of the caller, as `ServicerContext.peer` does."""
        return str(self._event.call.peer().decode("utf-8", "replace"))

    def metadata(self) -> Metadata:
        """Return the metadata of the call, as `ServicerContext.invocation_metadata` does."""
        return tuple(self._event.invocation_metadata or ())

    def auth_context(self) -> AuthContext:
        """Return what gRPC knows of the connection, such as names of a client certificate."""
        return cygrpc.auth_context(self._event.call) or {}

    def remaining(self) -> float:
        """Return the seconds until the deadline, thousands of years if there is none."""
        return max(0.0, float(self._event.call_details.deadline) - time.time())

    def abort(self, code: grpc.StatusCode, details: str, trailing: Metadata) -> None:
        """End the call with an error. One operation does it all: that is the cheapest end of a call."""
        token = object()
        self.ended(token)
        operations = (
            cygrpc.SendInitialMetadataOperation(None, 0),
            cygrpc.ReceiveCloseOnServerOperation(0),
            cygrpc.SendStatusFromServerOperation(
                trailing, _common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[code], details.encode(), 0
            ),
        )
        self._event.call.start_server_batch(operations, lambda event: (token, ()))


class PendingCall:
    """A call that grpcio has announced, and whose messages are still unread. Any thread may use it."""

    __slots__ = ("_call", "_event", "_state")

    def __init__(self, event: Any, state: Any) -> None:
        self._event = event
        self._call = event.call
        self._state = state

    @classmethod
    def of(cls, arguments: tuple[Any, ...]) -> PendingCall | None:
        """Return the call of the arguments that grpcio submits to a pool; None if their form is unknown.

        grpcio submits `(function, rpc_event, state, behaviour, …)`.
        """
        if not is_known() or len(arguments) < 4:
            return None
        event, state = arguments[1], arguments[2]
        if not isinstance(state, _server._RPCState) or not hasattr(event, "call"):
            return None
        return cls(event, state)

    def peer(self) -> str:
        """Return the address of the caller, as `ServicerContext.peer` does."""
        return str(self._call.peer().decode("utf-8", "replace"))

    def metadata(self) -> Metadata:
        """Return the metadata of the call, as `ServicerContext.invocation_metadata` does."""
        return tuple(self._event.invocation_metadata or ())

    def auth_context(self) -> AuthContext:
        """Return what gRPC knows of the connection, such as names of a client certificate."""
        return cygrpc.auth_context(self._event.call) or {}

    def remaining(self) -> float:
        """Return the seconds until the deadline, thousands of years if there is none."""
        return max(0.0, float(self._event.call_details.deadline) - time.time())

    def is_cancelled(self) -> bool:
        """Return whether the caller has cancelled the call, or is gone."""
        return self._state.client is _server._CANCELLED

    def on_end(self, callback: Callable[[], object]) -> bool:
        """Run `callback` when the call has ended, on gRPC's own thread; False if it already has."""
        with self._state.condition:
            if self._state.callbacks is None:
                return False
            self._state.callbacks.append(callback)
            return True

    def finish(self, message: bytes | None, trailing: Metadata) -> None:
        """End the call with OK and with its last response; None: without one."""
        self._state.trailing_metadata = trailing
        _server._status(self._event, self._state, message)

    def abort(self, code: grpc.StatusCode, details: str, trailing: Metadata) -> None:
        """End the call with an error."""
        self._state.code, self._state.details = code, details.encode()
        self.finish(None, trailing)

    def send(self, message: bytes, sent: Callable[[], object]) -> bool:
        """Send a response; `sent` runs on gRPC's own thread when the caller has room for another one.

        One response may be on its way at a time. Returns False, and sends nothing, if the call has ended.
        """
        state = self._state
        finish = _server._send_message(state, _server._SEND_MESSAGE_TOKEN)

        def tag(event: Any) -> Any:
            result = finish(event)
            sent()
            return result

        with state.condition:
            if not _server._is_rpc_state_active(state):
                return False
            operations = [cygrpc.SendMessageOperation(message, 0)]
            if state.initial_metadata_allowed:
                operations.insert(0, cygrpc.SendInitialMetadataOperation(None, 0))
                state.initial_metadata_allowed = False
            self._call.start_server_batch(operations, tag)
            state.due.add(_server._SEND_MESSAGE_TOKEN)
        return True

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
    """Return the address in a peer, without the port of the connection.

    It is `ipv4:10.0.0.7` for `ipv4:10.0.0.7:51234`, and `ipv6:[::1]` for `ipv6:%5B::1%5D:51234`.
    """
    if peer.startswith("ipv4:"):
        return peer.rpartition(":")[0]
    return unquote(peer.rpartition(":")[0]) if peer.startswith("ipv6:") else peer
