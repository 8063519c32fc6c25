"""The state of the server: starting, serving, stalled or draining; the health service reports it."""

from __future__ import annotations

from threading import Event

from spyglass.v1 import vision_pb2
from spyglass_contract.errors import Unavailable
from spyglass_server.servicers.health import NOT_SERVING, SERVING, Health

# From the descriptor: reflection can describe a service only after its descriptor was imported.
VISION: str = vision_pb2.DESCRIPTOR.services_by_name["Vision"].full_name

# The longest that a refusal is held back, in seconds.
_HOLD_SECONDS = 1.0

OPEN_INFERENCE = "inference.GRPCInferenceService"
"""The service of the Open Inference Protocol v2. Only the gRPC server imports its messages."""

# The names under which the health service reports the server as a whole.
_OVERALL = ("", VISION, OPEN_INFERENCE)


class Readiness:
    """Starting, then serving, then draining; updates the gRPC health service."""

    def __init__(self) -> None:
        self.health = Health()
        self._refusal = "the server is starting"
        self._stalled = False
        self._released = Event()
        self._released.set()
        for service in _OVERALL:
            self.health.set(service, NOT_SERVING)

    @property
    def is_open(self) -> bool:
        """Whether the server accepts requests; then `check` does not wait."""
        return not self._refusal

    def check(self) -> None:
        """Raise Unavailable unless the server accepts requests."""
        if self._refusal:
            self._released.wait(_HOLD_SECONDS)
            raise self.refusal()

    def refusal(self) -> Unavailable:
        """Return the error that says why the server accepts no requests."""
        return Unavailable(self._refusal)

    def hold(self) -> None:
        """Let `check` wait until `release` before it refuses a call.

        gRPC cancels the calls that arrive while it stops. Callers who wait for a response send no such calls.
        """
        self._released.clear()

    def release(self) -> None:
        """End `hold`."""
        self._released.set()

    def announce(self, model: str, serves: bool = True) -> None:
        """Report whether a model, or NAME/VERSION, serves: its certificate has been replayed."""
        self.health.set(model, SERVING if serves else NOT_SERVING)

    def open(self) -> None:
        """Accept requests: all models are loaded."""
        self._refusal = ""
        for service in _OVERALL:
            self.health.set(service, SERVING)

    def stall(self, stalled: bool) -> None:
        """Report NOT_SERVING for the server, not for its models, while no request makes progress.

        Calls are still accepted: the first that gets a permit shows that the server works again.
        """
        if stalled != self._stalled and not self._refusal:
            self._stalled = stalled
            for service in _OVERALL:
                self.health.set(service, NOT_SERVING if stalled else SERVING)

    def drain(self) -> None:
        """Refuse all further requests, and report NOT_SERVING for every service."""
        self._refusal = "the server is draining"
        self.health.end()
