"""The layer that gives every call an id and an observation, and shows it to the observers at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import grpc

from spyglass_contract.statuses import REQUEST_ID_HEADER
from spyglass_server.engine.observation import Observation
from spyglass_server.interceptors.layer import Layer
from spyglass_server.observing.observers import Observers
from spyglass_server.request_id import request_id_of, using_request_id

_current: ContextVar[Observation | None] = ContextVar("observation", default=None)


def current_observation() -> Observation | None:
    """Return the observation of the call that this thread serves."""
    return _current.get()


class Observed(Layer):
    """Gives a call the caller's id or a new one, and observes it."""

    def __init__(self, observers: Observers) -> None:
        self._observers = observers

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        metadata = tuple(context.invocation_metadata() or ())
        observation = self._observers.begin(Observation(method, request_id_of(metadata), metadata))
        token = _current.set(observation)
        with using_request_id(observation.request_id):
            context.set_trailing_metadata(((REQUEST_ID_HEADER, observation.request_id),))
            try:
                yield
            finally:
                self._observers.end(observation, _code(context), observation.reason)
                _current.reset(token)


def _code(context: grpc.ServicerContext) -> str:
    # typeshed leaves `code` out; grpcio has it since 1.36. None: the handler set no code, so the call
    # succeeded, unless the caller has cancelled it.
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]
    if code is None:
        return "OK" if context.is_active() else "CANCELLED"
    return code.name
