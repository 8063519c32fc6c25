"""Whether the server takes requests, and what the health service says of it and of each model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse

from spyglass_contract.errors import Unavailable

VISION = "spyglass.v1.Vision"

# The health service's names for the server as a whole.
_OVERALL = ("", VISION)


class Readiness:
    """Starting, then serving, then draining; the gRPC health service follows."""

    def __init__(self) -> None:
        # Watchers are answered by callbacks: none of them holds a thread that a request needs.
        self.health = HealthServicer(
            experimental_non_blocking=True,
            experimental_thread_pool=ThreadPoolExecutor(1, "health"),
        )
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
