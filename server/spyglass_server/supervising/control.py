"""Private calls between the processes of a server: bytes to a method by its name, over a Unix socket.

Whoever may open the folder of the sockets may call: it belongs to the server's user, with mode 0700.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_status import rpc_status

from spyglass_contract.errors import DeadlineExceeded, InternalError, SpyglassError, Unavailable
from spyglass_contract.statuses import error_from_status
from spyglass_server.interceptors.statuses import abort_status

_log = logging.getLogger(__name__)

_SERVICE = "spyglass.supervising.Control"
# Many changes of the models may wait for their end, and other calls must get a thread all the same.
_THREADS = 64
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_STOP_SECONDS = 0.5
_LOOK_SECONDS = 0.1

Method = Callable[[bytes], bytes]
"""Responds to a request; may raise SpyglassError, which the caller gets."""


class ControlServer:
    """Responds to private calls from its making on."""

    def __init__(self, path: Path, methods: Mapping[str, Method]) -> None:
        """Listen at `path`, whose folder only this user may open."""
        self._path = path
        # What an earlier process with this number has left.
        path.unlink(missing_ok=True)
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "control"), options=_OPTIONS)
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            name: grpc.unary_unary_rpc_method_handler(_behaviour(name, method))
            for name, method in methods.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def stop(self) -> None:
        """Respond no more, and remove the socket."""
        self._server.stop(_STOP_SECONDS).wait()
        self._path.unlink(missing_ok=True)


def _behaviour(name: str, method: Method) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def behaviour(request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return method(request)
        except SpyglassError as error:
            status = abort_status(error, "")
        except Exception:
            _log.exception("the private call %s failed", name)
            status = abort_status(InternalError(f"the private call {name} failed; the log says why"), "")
        context.abort_with_status(status)
        raise AssertionError("unreachable")

    return behaviour


class ControlClient:
    """Calls the methods of a ControlServer; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        """Call the server at `path`, which may not have started yet."""
        self._path = path
        # With a pool of its own, a client does not wait for the backoff of one before it.
        options = [*_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(f"unix:{path}", options=options)

    def call(
        self,
        method: str,
        request: bytes = b"",
        *,
        seconds: float | None,
        look: Callable[[], object] = lambda: None,
    ) -> bytes:
        """Return the response; `seconds` None: wait as long as it takes.

        `look` is called several times a second meanwhile; an exception ends the waiting. Raises the
        SpyglassError of the method, and DeadlineExceeded or Unavailable if no response came.
        """
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        call = self._channel.unary_unary(f"/{_SERVICE}/{method}")
        response = call.future(request, timeout=seconds)
        try:
            while True:
                try:
                    return response.result(_LOOK_SECONDS)
                except grpc.FutureTimeoutError:
                    look()
        except grpc.RpcError as error:
            raise self._error(method, error) from error

    def _error(self, method: str, error: grpc.RpcError) -> SpyglassError:
        status = rpc_status.from_call(error)
        if status is not None:
            return error_from_status(status)
        late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        kind = DeadlineExceeded if late else Unavailable
        return kind(f"the process at {self._path.name} did not respond to {method}")

    def close(self) -> None:
        """End the connection."""
        self._channel.close()
