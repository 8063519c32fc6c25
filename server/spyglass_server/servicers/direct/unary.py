"""A direct call with one request and one response."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from google.protobuf.message import Message

from spyglass_contract.errors import Cancelled, InvalidInput, Overloaded
from spyglass_server.engine.observation import Metadata, Observation
from spyglass_server.interceptors.grpcio_calls import AnnouncedCall, PendingCall
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.interceptors.statuses import abort_status
from spyglass_server.observing.observers import Observers
from spyglass_server.request_id import request_id_of
from spyglass_server.servicers.context import new_call
from spyglass_server.servicers.direct.ending import Ending
from spyglass_server.servicers.direct.method import Method
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.readiness import Readiness


class UnaryCalls:
    """The calls of one method. Each becomes a job when its message has arrived, and its worker responds."""

    def __init__(
        self,
        method: Method,
        readiness: Readiness,
        threads: ThreadPoolExecutor,
        observers: Observers,
        entrance: Entrance,
    ) -> None:
        """A request that takes long to parse, or that must wait for the server to stop, takes a thread."""
        self._method = method
        self._readiness = readiness
        self._threads = threads
        self._observers = observers
        self._entrance = entrance

    def refuse(self, announced: AnnouncedCall) -> bool:
        """End a call whose request would be refused, before its message is read and parsed."""
        if not self._readiness.is_open:
            return False
        metadata = announced.metadata()
        call = new_call(announced.peer(), metadata, announced.remaining())
        try:
            self._method.check(call)
        except Overloaded as error:
            observation = self._observed(metadata)
            observation.call = call
            status = abort_status(error, observation.request_id)
            announced.abort(status.code, status.details, status.trailing_metadata)
            self._observers.end(observation, status.code.name, error.reason)
            return True
        return False

    def begin(self, pending: PendingCall, incoming: Incoming) -> None:
        """Take over a call whose first message, or its error, is there; must not block."""
        small = self._method.parse.is_small(incoming.peek())
        if small and self._readiness.is_open:
            self._handle(pending, incoming, small=True)
        else:
            self._threads.submit(self._handle, pending, incoming, small=small)

    def _handle(self, pending: PendingCall, incoming: Incoming, *, small: bool) -> None:
        metadata = pending.metadata()
        observation = self._observed(metadata)
        ending = Ending(pending, incoming, observation, self._observers)
        try:
            call = new_call(pending.peer(), metadata, pending.remaining(), request_id=observation.request_id)
            call.observation, observation.call = observation, call
            call.caller = self._entrance.caller(self._method.path, pending)
            request = self._request(pending, incoming, observation, small=small)
            leave = self._entrance.begin(call.caller, request, self._method.cost)
            if leave and not pending.on_end(leave):
                leave()
            if not pending.on_end(call.cancel):
                call.cancel()

            def done(response: object, error: Exception | None) -> None:
                if error:
                    ending.fail(error)
                else:
                    ending.succeed(cast(Message, response))

            self._method.start(request, call, done)
        except Exception as error:
            ending.fail(error)

    def _observed(self, metadata: Metadata) -> Observation:
        return self._observers.begin(Observation(self._method.path, request_id_of(metadata), metadata))

    def _request(
        self, pending: PendingCall, incoming: Incoming, observation: Observation, *, small: bool
    ) -> Any:
        data = incoming.next_message()
        self._readiness.check()
        if data is None:
            if pending.is_cancelled():
                raise Cancelled("the caller cancelled the call")
            raise InvalidInput("the call has no request message", reason="MESSAGE_MISSING")
        observation.request_bytes = len(data)
        observation.request = self._method.parse(data, small=small)
        return observation.request
