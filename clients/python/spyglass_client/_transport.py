"""The way over gRPC: attempts, errors and channels; which call it is does not matter here.

The asyncio client, too, goes over gRPC's blocking interface, whose calls are futures. `grpc.aio` loses the
status of a stream that the server ends while a message is on its way: INTERNAL, "Internal error from Core",
stands in its place (grpcio 1.85: in 5 to 20 % of such calls, and in 90 % where the message was too large).
Futures also make a quarter more calls a second, and live on in forked processes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import grpc

from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_client._attempts import Attempts
from spyglass_client._calls import Call, Request
from spyglass_client._options import Retry
from spyglass_client._per_process import PerProcess
from spyglass_client._rpc_errors import error_from_rpc
from spyglass_client._stream import Replies

Result = TypeVar("Result")


class Transport:
    """Safe to use from many threads and event loops, and in forked processes."""

    def __init__(
        self, open_channel: Callable[[], grpc.Channel], retry: Retry, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        self._connection = PerProcess(lambda: _connect(open_channel))
        self._retry = retry
        self._metadata = metadata

    def ask(self, call: Call[Result], seconds: float | None) -> Result:
        """The result, within `seconds`, None: for ever. Raises any of the errors that cross the wire."""
        attempts = Attempts(self._retry, seconds)
        while True:
            try:
                reply = self._method(call)(
                    call.request, timeout=attempts.remaining(), metadata=self._metadata
                )
            except grpc.RpcError as error:
                time.sleep(attempts.pause_after(error_from_rpc(error)))
            else:
                return call.read(reply)

    async def ask_async(self, call: Call[Result], seconds: float | None) -> Result:
        """As `ask`. To cancel it cancels the call on the server."""
        attempts = Attempts(self._retry, seconds)
        while True:
            rpc = self._method(call).future(
                call.request, timeout=attempts.remaining(), metadata=self._metadata
            )
            await _finished(rpc)
            if rpc.code() is grpc.StatusCode.OK:
                return call.read(rpc.result())
            await asyncio.sleep(attempts.pause_after(error_from_rpc(rpc)))

    def stream(self, method: str, requests: Iterator[Request]) -> Replies:
        """Starts one streaming call of many images, each as `method` is for one."""
        start = getattr(self._connection.get()[1], f"{method}Stream")
        replies: Replies = start(requests, metadata=self._metadata)
        return replies

    def close(self) -> None:
        """Gives the connection back; calls under way are cancelled."""
        connection = self._connection.close()
        if connection:
            connection[0].close()

    def _method(self, call: Call[Any]) -> Any:
        return getattr(self._connection.get()[1], call.method)


def _connect(open_channel: Callable[[], grpc.Channel]) -> tuple[grpc.Channel, VisionStub]:
    channel = open_channel()
    return channel, VisionStub(channel)


async def _finished(rpc: Any) -> None:
    """Waits for a call that runs in gRPC's threads; a waiter that is cancelled takes the call along."""
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()

    def wake(_: object) -> None:
        # The loop may have closed on a call that was cancelled.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finished.set)

    rpc.add_done_callback(wake)
    try:
        await finished.wait()
    finally:
        rpc.cancel()
