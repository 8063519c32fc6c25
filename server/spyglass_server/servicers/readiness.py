"""Whether the server takes requests, and what the health service says of it and of each model."""

from __future__ import annotations

from spyglass.v1 import vision_pb2
from spyglass_contract.errors import Unavailable
from spyglass_server.servicers.health import NOT_SERVING, SERVING, Health

# From its descriptor: once that is imported, reflection can describe the service and not only name it.
VISION: str = vision_pb2.DESCRIPTOR.services_by_name["Vision"].full_name

# The health service's names for the server as a whole.
_OVERALL = ("", VISION)


class Readiness:
    """Starting, then serving, then draining; the gRPC health service follows."""

    def __init__(self) -> None:
        self.health = Health()
        self._refusal = "the server is starting"
        for service in _OVERALL:
            self.health.set(service, NOT_SERVING)

    def check(self) -> None:
        """Raises Unavailable unless the server takes requests."""
        if self._refusal:
            raise Unavailable(self._refusal)

    def announce(self, model: str) -> None:
        """A model's certificate has been replayed: its own health service says SERVING."""
        self.health.set(model, SERVING)

    def open(self) -> None:
        """All models are loaded."""
        self._refusal = ""
        for service in _OVERALL:
            self.health.set(service, SERVING)

    def drain(self) -> None:
        """No more requests; every service says NOT_SERVING, for good."""
        self._refusal = "the server is draining"
        self.health.end()
