"""The layer that finds who calls, for the calls that wait on a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

import grpc

from spyglass_server.access.entries import Identity
from spyglass_server.access.gate import Gate
from spyglass_server.interceptors.grpcio_calls import caller_of
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.interceptors.layer import arity_of

if TYPE_CHECKING:
    from spyglass_server.interceptors.layer import Handler

_current: ContextVar[Identity | None] = ContextVar("identity", default=None)


def current_identity() -> Identity | None:
    """Return who makes the call that this thread serves; None: the server asks for no token."""
    return _current.get()


class Authenticated(grpc.ServerInterceptor):
    """Refuses calls of those who may not make them, and ends streams whose token is revoked.

    The loop of events has refused most of them before; see `server.Server`. Behaviours that respond through
    callbacks pass: only the health service, which is open to all, has them.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler that the next layer found; None means an unknown method and stays None."""
        handler = continuation(handler_call_details)
        if handler is None or not self._gate.is_closed:
            return handler
        arity = arity_of(handler)
        behaviour: Callable[..., Any] = getattr(handler, arity)
        if getattr(behaviour, "experimental_non_blocking", False):
            return handler
        wrap = self._streaming if handler.response_streaming else self._single
        make: Callable[..., Handler] = getattr(grpc, f"{arity}_rpc_method_handler")
        return make(
            wrap(behaviour, str(handler_call_details.method)),
            handler.request_deserializer,
            handler.response_serializer,
        )

    @contextmanager
    def _around(self, method: str, incoming: Incoming, context: grpc.ServicerContext) -> Iterator[None]:
        identity = self._gate.identify(
            method,
            caller_of(context.peer()),
            tuple(context.invocation_metadata() or ()),
            context.auth_context,
        )
        leave = self._gate.streams.enter(identity, incoming.fail, context.cancel)
        token = _current.set(identity)
        try:
            yield
        finally:
            _current.reset(token)
            leave()

    def _single(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        @wraps(behaviour)
        def run(incoming: Incoming, context: grpc.ServicerContext) -> Any:
            with self._around(method, incoming, context):
                return behaviour(incoming, context)

        return run

    def _streaming(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        @wraps(behaviour)
        def run(incoming: Incoming, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._around(method, incoming, context):
                yield from behaviour(incoming, context)

        return run
