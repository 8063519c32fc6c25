"""The outermost layer: a call gets a thread when its first message has arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

import grpc

from spyglass_server.engine.capacity.byte_budget import ByteBudget
from spyglass_server.engine.capacity.places import Places
from spyglass_server.engine.capacity.reading import Reading
from spyglass_server.interceptors.grpcio_calls import PendingCall
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.interceptors.layer import arity_of
from spyglass_server.interceptors.receiving_pool import Begin, Direct, ReceivingPool

if TYPE_CHECKING:
    from spyglass_server.interceptors.layer import Handler


class Receiving(grpc.ServerInterceptor):
    """Turns every handler into one that gets an `Incoming` in place of its request or requests.

    The inner layers pass it on, and `Parsing`, the innermost, parses its messages. `receptions` limits the
    calls that wait for their first message. `own_receptions` limits those of behaviours with their own
    threads, such as the health service, so that neither kind can take the places of the other.
    """

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        receptions: Places,
        own_receptions: Places,
        budget: ByteBudget,
        reading: Reading,
        direct: Mapping[str, Direct],
    ) -> None:
        """Calls of behaviours without their own threads run on `threads`.

        `direct` has what takes over a call in place of its behaviour, for each such method.
        """
        self._pool = ReceivingPool(threads, receptions, reading)
        self._direct = direct
        # The handlers of the methods in `direct`.
        self._handlers: dict[str, Handler] = {}
        self._own_receptions = own_receptions
        self._own_pools: dict[ThreadPoolExecutor, ReceivingPool] = {}
        self._budget = budget
        self._active = 0
        self._lock = Lock()

    @property
    def active(self) -> int:
        """The number of calls whose first message has arrived and which have not ended."""
        return self._active

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler that the next layer found; None means an unknown method and stays None."""
        method = str(handler_call_details.method)
        if known := self._handlers.get(method):
            return known
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        direct = self._direct.get(method)
        wrapped = self._wrap(handler, direct)
        if direct:
            self._handlers[method] = wrapped
        return wrapped

    def _wrap(self, handler: Handler, direct: Direct | None) -> Handler:
        behaviour: Callable[..., Any] = getattr(handler, arity_of(handler))
        own = getattr(behaviour, "experimental_thread_pool", None)
        # A direct call gets another one from the pool.
        shared = Incoming(self._budget)

        def single(iterator: Iterator[bytes], context: grpc.ServicerContext, *arguments: Any) -> Any:
            self._begin(context.add_callback)
            incoming = Incoming(self._budget) if direct else shared
            incoming.iterator = iterator
            try:
                return behaviour(incoming, context, *arguments)
            finally:
                incoming.close()

        def streaming(iterator: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
            self._begin(context.add_callback)
            incoming = Incoming(self._budget) if direct else shared
            incoming.iterator = iterator
            try:
                yield from behaviour(incoming, context)
            finally:
                incoming.close()

        by_callback = getattr(behaviour, "experimental_non_blocking", False)
        run = streaming if handler.response_streaming and not by_callback else single
        vars(run).update(
            incoming=None if direct else shared,
            begin=self._counted(direct),
            new_incoming=lambda: Incoming(self._budget),
            experimental_thread_pool=self._own_pool(own) if own else self._pool,
            experimental_non_blocking=by_callback,
        )
        make: Callable[..., Handler] = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return make(run, None, handler.response_serializer)

    def _begin(self, add_callback: Callable[[Callable[[], None]], bool]) -> None:
        with self._lock:
            self._active += 1
        if not add_callback(self._end):
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._active -= 1

    def _counted(self, direct: Direct | None) -> Begin | None:
        """Return `begin` of a direct method with its calls counted among the active ones."""
        if direct is None:
            return None

        def counted(pending: PendingCall, incoming: Incoming) -> None:
            self._begin(pending.on_end)
            direct.begin(pending, incoming)

        return counted

    def _own_pool(self, threads: ThreadPoolExecutor) -> ReceivingPool:
        if threads not in self._own_pools:
            self._own_pools[threads] = ReceivingPool(threads, self._own_receptions)
        return self._own_pools[threads]
