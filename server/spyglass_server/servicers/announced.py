"""Calls that have been announced, and whose callers may not make them: they end before a message is read."""

from __future__ import annotations

from collections.abc import Collection

from spyglass_contract.errors import SpyglassError
from spyglass_server.engine.observation import Observation
from spyglass_server.interceptors.grpcio_calls import AnnouncedCall
from spyglass_server.interceptors.statuses import abort_status
from spyglass_server.observing.observers import Observers
from spyglass_server.request_id import request_id_of
from spyglass_server.servicers.context import new_call
from spyglass_server.servicers.entrance import Entrance


class AnnouncedCalls:
    """Refuses calls without a valid token, without the scope of their task, or above the caller's limits."""

    def __init__(self, entrance: Entrance, observers: Observers, limited: Collection[str]) -> None:
        """`limited` are the methods whose calls the limits of callers count: those with one image."""
        self._entrance = entrance
        self._observers = observers
        self._limited = frozenset(limited)

    def refuse(self, announced: AnnouncedCall) -> bool:
        """End a call that may not come in, and return whether it has ended; must not block."""
        method = announced.method()
        caller = None
        try:
            caller = self._entrance.caller(method, announced)
            if method in self._limited:
                self._entrance.check(caller)
        except SpyglassError as error:
            metadata = announced.metadata()
            observation = Observation(method, request_id_of(metadata), metadata)
            identity = caller.identity if caller else None
            observation.call = new_call(announced.peer(), metadata, announced.remaining(), identity=identity)
            status = abort_status(error, observation.request_id)
            announced.abort(status.code, status.details, status.trailing_metadata)
            self._observers.end(observation, status.code.name, error.reason)
            return True
        return False
