"""The base of the layers around every call, each written as a context manager."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    # The class takes type arguments in its stubs only.
    Handler = grpc.RpcMethodHandler[Any, Any]

Behaviour = Callable[[Any, grpc.ServicerContext], Any]


class Layer(grpc.ServerInterceptor):
    """Runs each call, whatever its arity, inside `around`."""

    @abstractmethod
    def around(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """Return the context of one call of `method`, such as `/spyglass.v1.Vision/Classify`."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler that the next layer found; None means an unknown method and stays None."""
        handler = continuation(handler_call_details)
        return None if handler is None else self._wrap(handler, str(handler_call_details.method))

    def _wrap(self, handler: Handler, method: str) -> Handler:
        arity = arity_of(handler)
        behaviour: Behaviour = getattr(handler, arity)
        # A behaviour that responds through callbacks (the health service's Watch) runs longer than its call.
        if getattr(behaviour, "experimental_non_blocking", False):
            return handler
        inside = (
            self._streaming(behaviour, method)
            if handler.response_streaming
            else self._single(behaviour, method)
        )
        make: Callable[..., Handler] = getattr(grpc, f"{arity}_rpc_method_handler")
        return make(inside, handler.request_deserializer, handler.response_serializer)

    def _single(self, behaviour: Behaviour, method: str) -> Behaviour:
        @wraps(behaviour)
        def run(request: Any, context: grpc.ServicerContext) -> Any:
            with self.around(method, context):
                return behaviour(request, context)

        return run

    def _streaming(self, behaviour: Behaviour, method: str) -> Behaviour:
        @wraps(behaviour)
        def run(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self.around(method, context):
                yield from behaviour(request, context)

        return run


def arity_of(handler: Handler) -> str:
    """Return the name of the handler's behaviour, such as unary_stream."""
    requests = "stream" if handler.request_streaming else "unary"
    return f"{requests}_{'stream' if handler.response_streaming else 'unary'}"
