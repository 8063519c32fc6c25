"""The layer that bounds the number of open streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import grpc

from spyglass_server.access.entries import most_streams
from spyglass_server.engine.capacity.places import Places
from spyglass_server.interceptors.authenticated import current_identity
from spyglass_server.interceptors.grpcio_calls import caller_of
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.interceptors.layer import arity_of

if TYPE_CHECKING:
    from spyglass_server.interceptors.layer import Handler


class StreamLimit(grpc.ServerInterceptor):
    """Gives a place to each call whose requests are a stream, those of reflection included.

    Such a call holds a thread for as long as its caller keeps it open. A stream that is idle for long ends,
    and if all places are taken, the one that is idle longest gives way.
    """

    def __init__(self, streams: Places) -> None:
        self._streams = streams

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of a method whose requests are a stream."""
        handler = continuation(handler_call_details)
        if handler is None or not handler.request_streaming:
            return handler
        behaviour: Callable[..., Any] = getattr(handler, arity_of(handler))
        return grpc.stream_stream_rpc_method_handler(
            self._limited(behaviour), handler.request_deserializer, handler.response_serializer
        )

    def _limited(self, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(behaviour)
        def run(incoming: Incoming, context: grpc.ServicerContext) -> Iterator[Any]:
            identity = current_identity()
            caller = identity.name if identity else caller_of(context.peer())
            place = self._streams.enter(caller, incoming.fail, most_streams(identity))
            incoming.place = place
            # Its first message is there.
            place.works()
            try:
                yield from behaviour(incoming, context)
            finally:
                self._streams.leave(place)

        return run
