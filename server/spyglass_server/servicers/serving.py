"""The gRPC side of a server: its services, its layers and its port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection

from spyglass.v1.admin_pb2_grpc import add_AdminServicer_to_server
from spyglass.v1.vision_pb2_grpc import add_VisionServicer_to_server
from spyglass_server.access.gate import TASK_OF_METHOD
from spyglass_server.administration import Administration
from spyglass_server.engine.models.lifecycle.status import Status
from spyglass_server.interceptors import grpcio_loop
from spyglass_server.interceptors.authenticated import Authenticated
from spyglass_server.interceptors.errors import Errors
from spyglass_server.interceptors.grpcio_calls import AnnouncedCall
from spyglass_server.interceptors.observed import Observed
from spyglass_server.interceptors.parsing import Parsing
from spyglass_server.interceptors.receiving import Receiving
from spyglass_server.interceptors.stream_limit import StreamLimit
from spyglass_server.limits import channel_options
from spyglass_server.listening import ListenError, why_not
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.servicers.admin import ADMIN, Admin
from spyglass_server.servicers.announced import AnnouncedCalls
from spyglass_server.servicers.direct.calls import direct_calls
from spyglass_server.servicers.direct.vision_methods import vision_methods
from spyglass_server.servicers.parts import Parts
from spyglass_server.servicers.readiness import OPEN_INFERENCE, VISION
from spyglass_server.servicers.vision import Vision

if TYPE_CHECKING:
    from spyglass_server.tls.reloading import ReloadingCredentials

# When no call has been active for so long, the server does not wait for its connections to be closed.
_QUIET_SECONDS = 0.25
_LOOK_SECONDS = 0.05
# How long gRPC may take to end the calls that it has cancelled, in seconds.
_CANCELLED_SECONDS = 1.0


class GrpcServing:
    """Every service, on one port."""

    def __init__(
        self, parts: Parts, statuses: Callable[[], Iterable[Status]], administration: Administration | None
    ) -> None:
        """`statuses` returns the state of every version. No `administration`: no call changes models."""
        # A process can have the messages of the Open Inference Protocol only once, such as those of another
        # client: only one with a gRPC server imports them.
        from spyglass.inference.v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
        from spyglass_server.servicers.open_inference.descriptions import Descriptions
        from spyglass_server.servicers.open_inference.direct import inference_methods
        from spyglass_server.servicers.open_inference.model_repository import ModelRepository
        from spyglass_server.servicers.open_inference.service import InferenceService
        from spyglass_server.servicers.open_inference.waiting import Waiting

        self._parts = parts
        limits, readiness, entrance = parts.limits, parts.readiness, parts.entrance
        observers = parts.observing.observers
        # Requests of a stream in work: of direct calls, which take no thread for each, more.
        window = 2 * parts.settings.effective_concurrency
        self.inference = OpenInference(parts.engine)
        self.descriptions = Descriptions(self.inference, readiness, parts.observing.totals)
        self.models = ModelRepository(self.inference, statuses, administration)
        waiting = Waiting(self.inference, observers, entrance, window=window)
        infer = inference_methods(self.inference)
        self._direct = direct_calls(
            [*vision_methods(parts.handlers), infer],
            readiness,
            parts.threads,
            limits.streams,
            observers,
            entrance,
            window=4 * window,
        )
        self._announced = AnnouncedCalls(
            entrance,
            observers,
            [path for path in (*TASK_OF_METHOD, infer[0].path) if not path.endswith("Stream")],
        )
        self._receiving = Receiving(
            parts.threads,
            limits.receptions,
            limits.health_receptions,
            limits.bytes_in_flight,
            limits.reading,
            self._direct,
        )
        self.server = grpc.server(
            parts.threads,
            interceptors=[
                # Outside of all: a call gets a thread, and is observed, when its request is there.
                self._receiving,
                # Outside of the errors: observers see the status that an error has become.
                Observed(observers),
                Errors(),
                # The refusals of those inside are errors, too.
                Authenticated(entrance.gate),
                StreamLimit(limits.streams),
                Parsing(),
            ],
            options=channel_options(parts.settings, shares_port=parts.shares_ports),
        )
        vision = Vision(parts.handlers, readiness, observers, entrance, window=window)
        add_VisionServicer_to_server(vision, self.server)
        service = InferenceService(self.descriptions, readiness, waiting, self.models)
        add_GRPCInferenceServiceServicer_to_server(service, self.server)
        health_pb2_grpc.add_HealthServicer_to_server(readiness.health, self.server)
        services = [VISION, OPEN_INFERENCE, HEALTH, reflection.SERVICE_NAME]
        if administration:
            add_AdminServicer_to_server(Admin(administration, readiness), self.server)
            services.append(ADMIN)
        reflection.enable_server_reflection(services, self.server)

    def bind(self, tls: ReloadingCredentials | None) -> int:
        """Bind the port of the settings, and return its number. Raises ListenError."""
        settings = self._parts.settings
        address = settings.listen_address
        try:
            if tls:
                return self.server.add_secure_port(address, tls.for_grpc())
            return self.server.add_insecure_port(address)
        except RuntimeError as error:
            reason = why_not(settings.effective_host, settings.port)
            raise ListenError(f"the server cannot listen on {address}: {reason}") from error

    def start(self) -> None:
        """Respond from now on."""
        grpcio_loop.start(self.server, self._parts.engine.workers.lead, self._refuse)

    def refuse_unfinished(self) -> None:
        """End the calls whose request has not arrived."""
        limits, refusal = self._parts.limits, self._parts.readiness.refusal()
        for places in (limits.receptions, limits.health_receptions):
            places.dismiss(refusal)

    def stop(self, seconds: float) -> Event:
        """Take no further calls; return what is set when all have ended, at most after so many seconds."""
        return self.server.stop(seconds)

    def wait(self, stopped: Event, seconds: float) -> None:
        """Wait until gRPC has stopped, or no call is active, and cancel what is left.

        Clients can keep their connections open for long.
        """
        ends = quiet = time.monotonic()
        ends += seconds
        while (now := time.monotonic()) < ends and now - quiet < _QUIET_SECONDS:
            if stopped.wait(_LOOK_SECONDS):
                break
            if self._receiving.active:
                quiet = time.monotonic()
        self.server.stop(0).wait(_CANCELLED_SECONDS)

    def _refuse(self, call: AnnouncedCall) -> bool:
        """End a call that its caller may not make, or that a crowded server would refuse."""
        if not self._parts.entrance.is_open and self._announced.refuse(call):
            return True
        if not self._parts.engine.workers.is_crowded:
            return False
        direct = self._direct.get(call.method())
        return direct is not None and direct.refuse(call)
