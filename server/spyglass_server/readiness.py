"""Whether the server takes requests, and what the health service says of it and of each model."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from spyglass.v1 import vision_pb2
from spyglass_contract.errors import Unavailable

# From its descriptor: once that is imported, reflection can describe the service and not only name it.
VISION: str = vision_pb2.DESCRIPTOR.services_by_name["Vision"].full_name

# The health service's names for the server as a whole.
_OVERALL = ("", VISION)


class _Health(HealthServicer):  # type: ignore[misc]
    """Answers on a thread of its own: those of the requests may all wait for callers that send slowly.

    Watchers are answered by callbacks: none of them holds that thread.
    """

    def __init__(self) -> None:
        pool = ThreadPoolExecutor(1, "health")
        super().__init__(experimental_non_blocking=True, experimental_thread_pool=pool)
        # Where gRPC looks for it; the servicer does this itself for Watch.
        self.Check.__func__.experimental_thread_pool = pool
        self._watchers: set[Callable[[HealthCheckResponse | None], None]] = set()

    def Watch(
        self,
        request: HealthCheckRequest,
        context: grpc.ServicerContext,
        send_response_callback: Callable[[HealthCheckResponse | None], None],
    ) -> None:
        self._watchers.add(send_response_callback)
        context.add_callback(lambda: self._watchers.discard(send_response_callback))
        super().Watch(request, context, send_response_callback)

    def end_watches(self) -> None:
        """A watch has no end of its own; the server would wait for it to the end of its grace."""
        for send_response in list(self._watchers):
            send_response(None)


class Readiness:
    """Starting, then serving, then draining; the gRPC health service follows."""

    def __init__(self) -> None:
        self.health = _Health()
        self._refusal = "the server is starting"
        for service in _OVERALL:
            self.health.set(service, HealthCheckResponse.NOT_SERVING)

    def check(self) -> None:
        """Raises Unavailable unless the server takes requests."""
        if self._refusal:
            raise Unavailable(self._refusal)

    def announce(self, model: str) -> None:
        """A model's certificate has been replayed: its own health service says SERVING."""
        self.health.set(model, HealthCheckResponse.SERVING)

    def open(self) -> None:
        """All models are loaded."""
        self._refusal = ""
        for service in _OVERALL:
            self.health.set(service, HealthCheckResponse.SERVING)

    def drain(self) -> None:
        """No more requests; every service says NOT_SERVING, for good."""
        self._refusal = "the server is draining"
        self.health.enter_graceful_shutdown()
        self.health.end_watches()
