"""The end of a direct call: its status, its observers, and its bytes."""

from __future__ import annotations

from traceback import clear_frames

from google.protobuf.message import Message

from spyglass_contract.statuses import REQUEST_ID_HEADER
from spyglass_server.engine.observation import Observation
from spyglass_server.faults import public_error
from spyglass_server.interceptors.grpcio_calls import PendingCall
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.interceptors.statuses import abort_status
from spyglass_server.observing.observers import Observers
from spyglass_server.request_id import using_request_id


class Ending:
    """Ends one call, with its last response or with an error."""

    __slots__ = ("_incoming", "_observation", "_observers", "_pending")

    def __init__(
        self, pending: PendingCall, incoming: Incoming, observation: Observation, observers: Observers
    ) -> None:
        self._pending = pending
        self._incoming = incoming
        self._observation = observation
        self._observers = observers

    def succeed(self, response: Message | None = None) -> None:
        """Send the response of a call with one response, and OK."""
        message = None if response is None else response.SerializeToString()
        if message is not None:
            self._observation.answered(response, len(message))
        # Before the response: a caller that has it finds the request among the metrics.
        self.close("CANCELLED" if self._pending.is_cancelled() else "OK")
        self._pending.finish(message, ((REQUEST_ID_HEADER, self._observation.request_id),))

    def fail(self, error: Exception) -> None:
        """Send the status of an error."""
        request_id = self._observation.request_id
        with using_request_id(request_id):
            public = public_error(error, request_id)
        # The frames hold the request. It is not needed any more.
        clear_frames(error.__traceback__)
        status = abort_status(public, request_id)
        self.close(status.code.name, public.reason)
        self._pending.abort(status.code, status.details, status.trailing_metadata)

    def close(self, code: str, reason: str = "") -> None:
        """Give back the bytes of the requests, and show the call to the observers."""
        self._incoming.close()
        self._observers.end(self._observation, code, reason)
