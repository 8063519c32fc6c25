"""`grpc.health.v1.Health`, which responds even when all other threads wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import wraps
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

from spyglass_contract.errors import NotFound
from spyglass_server.engine.text import quoted

# Sends a reply to one watcher; None ends its call.
Send = Callable[[HealthCheckResponse | None], None]

SERVING: int = HealthCheckResponse.SERVING
NOT_SERVING: int = HealthCheckResponse.NOT_SERVING
_UNKNOWN: int = HealthCheckResponse.SERVICE_UNKNOWN

# How long `end` waits until the watchers have their last response, in seconds.
_FAREWELL_SECONDS = 1.0


@dataclass(eq=False)
class _Watcher:
    service: str
    send: Send
    told: int | None = None


class Health:
    """Check, List and Watch on threads of their own, because all request threads may wait for slow senders.

    grpcio's servicer sends to watchers under a lock. gRPC's event loop needs that lock when a watcher leaves,
    and a send waits for that loop: two watchers can stop the whole server. Here no lock is held, one thread
    does all the sending, and a watcher holds no thread.
    """

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}
        self._watchers: set[_Watcher] = set()
        self._ended = False
        self._sender = ThreadPoolExecutor(1, "health-watch")
        checking = ThreadPoolExecutor(1, "health-check")
        self.Check = _behaviour(self._check, checking)
        self.List = _behaviour(self._list, checking)
        self.Watch = _behaviour(self._watch, self._sender, by_callback=True)

    def set(self, service: str, status: int) -> None:
        """Report `status` for `service` from now on, also to its watchers; has no effect after `end`."""
        if not self._ended:
            self._statuses[service] = status
            self._sender.submit(self._tell_all)

    def end(self) -> None:
        """Report NOT_SERVING for every service from now on, and end the watches."""
        self._ended = True
        self._statuses = dict.fromkeys(self._statuses, NOT_SERVING)
        wait([self._sender.submit(self._dismiss_all)], timeout=_FAREWELL_SECONDS)

    def _check(self, request: HealthCheckRequest, context: grpc.ServicerContext) -> HealthCheckResponse:
        if request.service not in self._statuses:
            raise NotFound(
                f"the server has no service {quoted(request.service)}",
                reason="SERVICE_NOT_FOUND",
                field="service",
            )
        return HealthCheckResponse(status=self._statuses[request.service])

    def _list(self, request: HealthListRequest, context: grpc.ServicerContext) -> HealthListResponse:
        statuses = dict(self._statuses)
        return HealthListResponse(
            statuses={service: HealthCheckResponse(status=status) for service, status in statuses.items()}
        )

    def _watch(self, request: HealthCheckRequest, context: grpc.ServicerContext, send: Send) -> None:
        watcher = _Watcher(request.service, send)
        self._watchers.add(watcher)
        if not context.add_callback(lambda: self._watchers.discard(watcher)):
            self._watchers.discard(watcher)
        self._tell(watcher)
        if self._ended:
            self._dismiss(watcher)

    def _tell(self, watcher: _Watcher) -> None:
        status = self._statuses.get(watcher.service, _UNKNOWN)
        if status != watcher.told:
            watcher.told = status
            watcher.send(HealthCheckResponse(status=status))

    def _tell_all(self) -> None:
        for watcher in list(self._watchers):
            self._tell(watcher)

    def _dismiss(self, watcher: _Watcher) -> None:
        self._tell(watcher)
        self._watchers.discard(watcher)
        watcher.send(None)

    def _dismiss_all(self) -> None:
        for watcher in list(self._watchers):
            self._dismiss(watcher)


def _behaviour(
    method: Callable[..., Any], pool: ThreadPoolExecutor, *, by_callback: bool = False
) -> Callable[..., Any]:
    """Return `method` with the attributes that gRPC reads: the threads to call it on, and how it responds."""

    @wraps(method)
    def behaviour(*arguments: Any) -> Any:
        return method(*arguments)

    vars(behaviour).update(experimental_thread_pool=pool, experimental_non_blocking=by_callback)
    return behaviour
