"""The end of a direct call: its status, its line in the log, and its bytes."""

from __future__ import annotations

import time
from traceback import clear_frames

from google.protobuf.message import Message

from spyglass_contract.statuses import REQUEST_ID_HEADER
from spyglass_server.faults import public_error
from spyglass_server.interceptors.grpcio_calls import PendingCall
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.interceptors.request_log import log_request
from spyglass_server.interceptors.statuses import abort_status
from spyglass_server.request_id import using_request_id


class Ending:
    """Ends one call, with its last response or with an error."""

    __slots__ = ("_incoming", "_path", "_pending", "_request_id", "_started")

    def __init__(self, pending: PendingCall, incoming: Incoming, path: str, request_id: str) -> None:
        self._pending = pending
        self._incoming = incoming
        self._path = path
        self._request_id = request_id
        self._started = time.monotonic()

    def succeed(self, response: Message | None = None) -> None:
        """Send the response of a call with one response, and OK."""
        message = None if response is None else response.SerializeToString()
        # Before the response: a caller that has it finds the line in the log.
        self.close("CANCELLED" if self._pending.is_cancelled() else "OK")
        self._pending.finish(message, ((REQUEST_ID_HEADER, self._request_id),))

    def fail(self, error: Exception) -> None:
        """Send the status of an error."""
        with using_request_id(self._request_id):
            public = public_error(error, self._request_id)
        # The frames hold the request. It is not needed any more.
        clear_frames(error.__traceback__)
        status = abort_status(public, self._request_id)
        self.close(status.code.name)
        self._pending.abort(status.code, status.details, status.trailing_metadata)

    def close(self, code: str) -> None:
        """Give back the bytes of the requests, and log the call."""
        self._incoming.close()
        log_request(self._path, code, self._started, self._request_id)
