"""The gRPC server: built from settings, started, drained and stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection

from spyglass.v1.vision_pb2_grpc import add_VisionServicer_to_server
from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.header import Limits
from spyglass_server.engine.admission import Admission
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.model import Model, Resources
from spyglass_server.engine.repository import Repository, check_served, model_files
from spyglass_server.handlers import Handlers
from spyglass_server.interceptors.errors import Errors
from spyglass_server.interceptors.request_log import RequestLog
from spyglass_server.interceptors.stream_limit import StreamLimit
from spyglass_server.servicers.readiness import VISION, Readiness
from spyglass_server.servicers.vision import Vision
from spyglass_server.settings import ServerSettings

_log = logging.getLogger(__name__)

# Threads beyond those that requests and streams can hold: for reflection, ListModels, GetModel and refusals.
_SPARE_THREADS = 16
# When gRPC stops, it cancels the calls that have arrived and have no thread yet. For this long they still get
# a thread, and the status UNAVAILABLE, after which their callers retry.
_LAST_CALLS_SECONDS = 0.5
# A request up to this many times the limit of an image gets an error that names the limit; gRPC itself
# refuses longer ones.
_MESSAGE_HEADROOM = 2


class ListenError(SpyglassError):
    """The server cannot listen on the address."""

    default_reason = "CANNOT_LISTEN"


class Server:
    """Listens at once, responds UNAVAILABLE until every model is loaded, then serves."""

    def __init__(self, settings: ServerSettings) -> None:
        """Bind the port. Raises ListenError."""
        self._settings = settings
        self._readiness = Readiness()
        self._repository = Repository(default_models=tuple(settings.default_model))
        self._engine = self._build_engine()
        self._grpc = self._build_server()
        self.port = self._bind()

    def start(self, open_model: Callable[[Path], Model] | None = None) -> None:
        """Respond to health checks from now on, load the models, then accept requests.

        `open_model` opens a file in place of `Model.load`. Raises ModelError if any of the models cannot be
        loaded: a server with a part of its models does not start.
        """
        started = time.monotonic()
        self._grpc.start()
        files = model_files(self._settings.models, self._settings.versions)
        if "default_model" in self._settings.model_fields_set:
            check_served(self._settings.default_model, files)
        for path in files:
            model = self._repository.load(
                path, open_model or partial(Model.load, resources=self._resources())
            )
            self._readiness.announce(model.card.name)
        self._readiness.open()
        _log.info("serving on port %d after %.2f s", self.port, time.monotonic() - started)

    def stop(self, grace: float | None = None) -> None:
        """Refuse further requests, finish those in work for up to `grace` seconds, and end."""
        seconds = self._settings.grace_seconds if grace is None else grace
        self._readiness.drain()
        time.sleep(min(_LAST_CALLS_SECONDS, seconds))
        self._grpc.stop(seconds).wait()
        self._engine.close()

    def _resources(self) -> Resources:
        settings = self._settings
        return Resources(
            device=settings.device,
            workers=settings.effective_workers,
            threads_per_worker=settings.threads_per_worker,
            max_batch=settings.max_batch,
            score_cam_channels=settings.score_cam_channels,
        )

    def _build_engine(self) -> Engine:
        settings = self._settings
        admission = Admission(settings.effective_max_in_flight)
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        threads = settings.effective_workers
        return Engine(self._repository, admission, image_threads=threads, limits=limits)

    def _build_server(self) -> grpc.Server:
        settings = self._settings
        streams = Admission(settings.max_streams)
        window = 2 * settings.effective_workers
        vision = Vision(Handlers(self._engine), self._readiness, window=window)
        threads = self._engine.admission.capacity + streams.capacity + _SPARE_THREADS
        server = grpc.server(
            ThreadPoolExecutor(threads, "grpc"),
            # The log is outermost: it sees the status that an error has become. The limit of streams is
            # innermost: its refusals are errors, too.
            interceptors=[RequestLog(), Errors(), StreamLimit(streams)],
            options=_options(settings),
        )
        add_VisionServicer_to_server(vision, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._readiness.health, server)
        reflection.enable_server_reflection((VISION, HEALTH, reflection.SERVICE_NAME), server)
        return server

    def _bind(self) -> int:
        address = self._settings.listen_address
        try:
            return self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise ListenError(
                f"the server cannot listen on {address}; does another process use it?"
            ) from error


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        # Without this, two servers on one port would share its calls without a warning.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", _MESSAGE_HEADROOM * settings.max_image_bytes),
        ("grpc.max_send_message_length", -1),
        # Clients may keep an idle connection alive with a ping every ten seconds.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
