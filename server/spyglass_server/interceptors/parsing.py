"""The innermost layer: it checks the bytes of each message and parses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from spyglass_contract.errors import Cancelled, InvalidInput, LimitExceeded, SpyglassError
from spyglass_server.faults import public_error
from spyglass_server.interceptors.incoming import Incoming
from spyglass_server.interceptors.layer import arity_of
from spyglass_server.interceptors.message_size import size_without_image
from spyglass_server.interceptors.statuses import abort_status
from spyglass_server.request_id import request_id_of

if TYPE_CHECKING:
    from spyglass_server.interceptors.layer import Handler

MAX_BYTES_WITHOUT_IMAGE = 128 * 1024
"""The most bytes of a request without the file or the pixels of its image: names, lists and other fields."""


MAX_NUMBER_BYTES = 4 * 1024 * 1024
"""The most bytes of pixels that are sent as numbers: while more were parsed, no other thread would run."""

_SMALL_BYTES = 512 * 1024
_SMALL_REST = 2048


class Parsing(grpc.ServerInterceptor):
    """Gives the behaviour its request, or an iterator of its requests.

    A request that is too large or is not a message of its type ends the call with an error. If the
    deserializer raised instead, grpcio would leak 20 kB each time, log a stack trace and send INTERNAL.
    """

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of the method; None means an unknown method and stays None."""
        handler = continuation(handler_call_details)
        return None if handler is None else self._wrap(handler)

    def _wrap(self, handler: Handler) -> Handler:
        arity = arity_of(handler)
        behaviour: Callable[..., Any] = getattr(handler, arity)
        parse = Parser(handler.request_deserializer)
        if getattr(behaviour, "experimental_non_blocking", False):
            run = _by_callback(behaviour, parse)
        elif handler.request_streaming:
            run = _many(behaviour, parse)
        else:
            run = _one(behaviour, parse)
        make: Callable[..., Handler] = getattr(grpc, f"{arity}_rpc_method_handler")
        return make(run, None, handler.response_serializer)


class Parser:
    """A parser of bytes to a message of one type."""

    def __init__(self, from_string: Any) -> None:
        self._from_string = from_string
        # `from_string` is the class method of a message.
        kind = getattr(from_string, "__self__", None)
        self._descriptor: Descriptor | None = getattr(kind, "DESCRIPTOR", None)

    def is_small(self, data: bytes | None) -> bool:
        """Return whether a message takes so little time to parse that gRPC's own thread may do it."""
        return data is None or (
            len(data) <= _SMALL_BYTES
            and size_without_image(data, self._descriptor, _SMALL_REST, numbers=True) <= _SMALL_REST
        )

    def __call__(self, data: bytes, *, small: bool = False) -> Any:
        """Return the message; `small`: what `is_small` said about it.

        Raises LimitExceeded if it is too large, InvalidInput if it is invalid.
        """
        size = 0 if small else size_without_image(data, self._descriptor, MAX_BYTES_WITHOUT_IMAGE)
        if size > MAX_BYTES_WITHOUT_IMAGE:
            raise LimitExceeded(
                f"a request may have {MAX_BYTES_WITHOUT_IMAGE:,} bytes without its image; this one has more",
                reason="REQUEST_TOO_LARGE",
            )
        if not small and self._numbers(data) > MAX_NUMBER_BYTES:
            raise LimitExceeded(
                f"a request may have {MAX_NUMBER_BYTES:,} bytes of pixels as numbers; this one has more: "
                "send raw bytes, or fewer images at a time",
                reason="REQUEST_TOO_LARGE",
            )
        try:
            return self._from_string(data)
        except DecodeError:
            name = self._descriptor.name if self._descriptor else "request"
            # Without the cause: the text of protobuf does not help a caller.
            raise InvalidInput(
                f"the bytes of the request are not a valid {name}", reason="MESSAGE_INVALID"
            ) from None

    def _numbers(self, data: bytes) -> int:
        if len(data) <= MAX_NUMBER_BYTES:
            return 0
        return size_without_image(data, self._descriptor, MAX_NUMBER_BYTES, numbers=True)


def _first(incoming: Incoming, parse: Parser, context: grpc.ServicerContext) -> Any:
    data = incoming.next_message()
    if data is None:
        if not context.is_active():
            raise Cancelled("the caller cancelled the call")
        raise InvalidInput("the call has no request message", reason="MESSAGE_MISSING")
    return parse(data)


def _one(behaviour: Callable[..., Any], parse: Parser) -> Callable[..., Any]:
    @wraps(behaviour)
    def run(incoming: Incoming, context: grpc.ServicerContext) -> Any:
        return behaviour(_first(incoming, parse, context), context)

    return run


def _many(behaviour: Callable[..., Any], parse: Parser) -> Callable[..., Any]:
    def requests(incoming: Incoming) -> Iterator[Any]:
        while (data := incoming.next_message()) is not None:
            yield parse(data)

    @wraps(behaviour)
    def run(incoming: Incoming, context: grpc.ServicerContext) -> Iterator[Any]:
        for response in behaviour(requests(incoming), context):
            incoming.sending()
            yield response
            incoming.answered()

    return run


def _by_callback(behaviour: Callable[..., Any], parse: Parser) -> Callable[..., Any]:
    @wraps(behaviour)
    def run(incoming: Incoming, context: grpc.ServicerContext, send: Callable[[Any], None]) -> None:
        try:
            behaviour(_first(incoming, parse, context), context, send)
        # No layer is around a behaviour that responds through callbacks.
        except SpyglassError as error:
            request_id = request_id_of(context.invocation_metadata())
            status = abort_status(public_error(error, request_id), request_id)
            context.set_trailing_metadata(status.trailing_metadata)
            context.set_code(status.code)
            context.set_details(status.details)
            send(None)

    return run
