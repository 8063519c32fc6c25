"""The default transport: gRPC.

`AsyncClient`, too, uses gRPC's blocking interface, whose calls are futures. `grpc.aio` loses the status of a
stream that the server ends while a message is on its way: the client sees INTERNAL, "Internal error from
Core" (grpcio 1.85: in 5 to 20 % of such calls, and in 90 % if the message was too large). Futures also make a
quarter more calls a second, and work in forked processes. For one call at a time the blocking form is
cheaper: it takes 0.31 ms, and a future 0.46 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from spyglass.v1.admin_pb2_grpc import AdminStub
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_client._tracing import with_trace
from spyglass_client._transports.per_process import PerProcess
from spyglass_client._transports.rpc_errors import error_from_rpc


class GrpcTransport:
    """A connection to one server; a process forked from this one opens a connection of its own."""

    def __init__(
        self,
        open_channel: Callable[[], grpc.Channel],
        metadata: tuple[tuple[str, str], ...] = (),
        *,
        has_several_servers: bool = False,
    ) -> None:
        """Each process calls `open_channel` at its first call; every call carries `metadata`.

        With `has_several_servers`, the channel gives calls to several servers in turn.
        """
        self.has_several_servers = has_several_servers
        self._connection = PerProcess(lambda: _connect(open_channel))
        self._metadata = metadata

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """See `Transport.send`."""
        try:
            response: Message = self._method(method)(request, timeout=timeout, metadata=self._headers())
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error
        return response

    def start(self, method: str, request: Message, timeout: float | None) -> GrpcPending:
        """See `NonBlockingTransport.start`."""
        return GrpcPending(self._method(method).future(request, timeout=timeout, metadata=self._headers()))

    def stream(self, method: str, requests: Iterator[Message]) -> GrpcStream:
        """See `Transport.stream`."""
        return GrpcStream(self._method(f"{method}Stream")(requests, metadata=self._headers()))

    def channel(self) -> grpc.Channel:
        """Return the channel of this process."""
        return self._connection.get()[0]

    def close(self) -> None:
        """Close the connection; calls in progress are cancelled."""
        connection = self._connection.close()
        if connection:
            connection[0].close()

    def _headers(self) -> tuple[tuple[str, str], ...]:
        return with_trace(self._metadata)

    def _method(self, name: str) -> Any:
        _, vision, admin = self._connection.get()
        return getattr(vision, name, None) or getattr(admin, name)


class GrpcPending:
    """A call that runs in gRPC's threads."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def result(self) -> Message:
        """See `PendingResponse.result`."""
        try:
            response: Message = self._call.result()
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error
        # A call that this side cancelled raises an exception of gRPC's that is not an RpcError.
        except grpc.FutureCancelledError as error:
            raise error_from_rpc(self._call) from error
        return response

    def cancel(self) -> object:
        """See `PendingResponse.cancel`."""
        return self._call.cancel()

    def add_done_callback(self, callback: Callable[[object], object]) -> object:
        """See `PendingResponse.add_done_callback`."""
        return self._call.add_done_callback(callback)


class GrpcStream:
    """A streaming call."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[Message]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise error_from_rpc(error) from error

    def cancel(self) -> object:
        """See `ResponseStream.cancel`."""
        return self._call.cancel()


def _connect(open_channel: Callable[[], grpc.Channel]) -> tuple[grpc.Channel, VisionStub, AdminStub]:
    channel = open_channel()
    return channel, VisionStub(channel), AdminStub(channel)
