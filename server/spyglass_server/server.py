"""The gRPC server: built from settings, started, drained and stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection

from spyglass.v1.admin_pb2_grpc import add_AdminServicer_to_server
from spyglass.v1.vision_pb2_grpc import add_VisionServicer_to_server
from spyglass_contract.errors import ModelError
from spyglass_contract.images.header import Limits
from spyglass_server.access.gate import TASK_OF_METHOD, Gate
from spyglass_server.access.token_store import TokenStore
from spyglass_server.administration import Administration
from spyglass_server.engine.capacity.memory import memory_returner
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.engine.models.lifecycle.loading import OpenModel
from spyglass_server.engine.models.lifecycle.polling import Polling
from spyglass_server.engine.models.lifecycle.status import State, Status
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.models.repository import Repository, check_served
from spyglass_server.engine.models.stores.opening import open_store
from spyglass_server.engine.profiling.profiler import Profiler
from spyglass_server.engine.response_cache.response_cache import ResponseCache
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.exposed import warn_if_exposed
from spyglass_server.handlers import Handlers
from spyglass_server.interceptors import grpcio_loop
from spyglass_server.interceptors.authenticated import Authenticated
from spyglass_server.interceptors.errors import Errors
from spyglass_server.interceptors.grpcio_calls import AnnouncedCall
from spyglass_server.interceptors.observed import Observed
from spyglass_server.interceptors.parsing import Parsing
from spyglass_server.interceptors.receiving import Receiving
from spyglass_server.interceptors.stream_limit import StreamLimit
from spyglass_server.limits import WireLimits, caller_quota, channel_options
from spyglass_server.listening import ListenError, why_not
from spyglass_server.observing.observing import Observing
from spyglass_server.observing.stall import STALL_SECONDS
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.servicers.admin import ADMIN, Admin
from spyglass_server.servicers.announced import AnnouncedCalls
from spyglass_server.servicers.direct.calls import direct_calls
from spyglass_server.servicers.direct.vision_methods import vision_methods
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.readiness import OPEN_INFERENCE, VISION, Readiness
from spyglass_server.servicers.vision import Vision
from spyglass_server.settings import ServerSettings
from spyglass_server.sharing import Sharing
from spyglass_server.ticker import Ticker

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from spyglass_server.http.serving import HttpServing
    from spyglass_server.tls.reloading import ReloadingCredentials

_log = logging.getLogger(__name__)

# Threads beyond those that requests and streams can hold: for reflection, ListModels, GetModel and refusals.
_SPARE_THREADS = 16
# When gRPC stops, it cancels the calls that have arrived and have no thread yet. For this long they still get
# a thread, and the status UNAVAILABLE, after which their callers retry. The last of them get it when gRPC has
# begun to stop, so that their callers send nothing more to this server.
_LAST_CALLS_SECONDS = 0.5
_HELD_SECONDS = 0.1
# After requests of so many bytes at a time, free memory goes back to the system.
_LARGE_BYTES = 32 * 1024 * 1024
# When no call has been active for so long, the server does not wait for its connections to be closed.
_QUIET_SECONDS = 0.25
_LOOK_SECONDS = 0.05
# How long gRPC may take to end the calls that it has cancelled, in seconds.
_CANCELLED_SECONDS = 1.0
# How long the last traces may take to be sent if the grace is over, in seconds.
_LAST_TRACES_SECONDS = 0.5


class Server:
    """Listens at once, responds UNAVAILABLE until every model is loaded, then serves."""

    def __init__(self, settings: ServerSettings, *, sharing: Sharing | None = None) -> None:
        """Bind the port.

        `sharing`: other processes listen on it, too, and one of them serves the metrics. Then `start` binds
        it when the models are loaded: a process that loads them gets no connections.

        Raises ListenError, TlsError and TokenFileError if files cannot be used, and InvalidInput for an
        invalid public key.
        """
        self._settings = settings
        self._sharing = sharing
        self._rules = settings.file_rules
        self._readiness = Readiness()
        self._limits = WireLimits(settings)
        self._trim = memory_returner()
        self._gate = Gate(TokenStore(settings.tokens) if settings.tokens else None)
        self._repository = Repository(default_models=tuple(settings.default_model))
        self._engine = self._build_engine()
        self._open_model: OpenModel = partial(Model.load, resources=self._resources())
        self._lifecycle = self._build_lifecycle()
        self._administration = Administration(self._lifecycle)
        if sharing:
            self._administration = sharing.administer(self._administration, self._lifecycle)
        self._polling = Polling(self._lifecycle, settings.poll_seconds) if settings.poll_seconds else None
        self._entrance = Entrance(self._gate, caller_quota(settings), self._engine.limits)
        self._tls = _credentials(settings)
        tls = self._tls
        self._observing = Observing(
            settings,
            self._engine,
            self._limits,
            lambda: self._readiness.is_open,
            self._lifecycle,
            (lambda: tls.seconds_left) if tls else None,
            listens=sharing is None,
        )
        self._ticker = Ticker(
            [
                self._limits.sweep,
                self._gate.sweep,
                self._watch_progress,
                self._give_back_memory,
                self._observing.tick,
                self._follow_https,
                self._end_models,
                *([tls.tick] if tls else []),
            ]
        )
        self._profiler: Profiler | None = None
        seen = self._observing.seen
        self._handlers = Handlers(self._engine, seen.of if seen else _nothing_seen, self._lifecycle)
        self._threads = ThreadPoolExecutor(
            settings.effective_max_in_flight + settings.max_streams + _SPARE_THREADS, "grpc"
        )
        self._grpc = self._build_server()
        self.port = settings.port
        self._http: HttpServing | None = None
        if not sharing:
            self._bind_all()
            warn_if_exposed(settings)

    @property
    def http_port(self) -> int:
        """The port of HTTP; 0: there is none."""
        return self._http.port if self._http else 0

    @property
    def metrics_port(self) -> int:
        """The port of the metrics; 0: there is none."""
        return self._observing.metrics_port

    @property
    def metrics(self) -> CollectorRegistry | None:
        """All metrics; None: nothing is counted."""
        return self._observing.registry

    def start(self, open_model: OpenModel | None = None) -> None:
        """Respond to health checks from now on, load the models, then accept requests.

        `open_model` opens a file in place of `Model.load`. Raises ModelError if any of the models cannot be
        loaded: a server with a part of its models does not start. If models may change while it serves, a
        lower version may stand in for one that cannot be loaded.
        """
        started = time.monotonic()
        if not self._sharing:
            self._listen()
        self._ticker.start()
        self._observing.start()
        self._check_folders()
        self._open_model = open_model or self._open_model
        # Several at a time: most of a start is the replay of certificates, each of which runs on one thread.
        self._lifecycle.start(self._settings.effective_concurrency, strict=not self._settings.is_living)
        self._check_served(self._repository.names())
        if self._settings.profile_seconds:
            lock = self._sharing.profile_lock if self._sharing else None
            self._profiler = Profiler(
                self._repository, self._engine, self._settings.profile_seconds, lock=lock
            )
        if self._sharing:
            self._sharing.join()
            self._bind_all()
            self._listen()
        self._readiness.open()
        if self._profiler:
            self._profiler.start()
        if self._polling:
            self._polling.start()
        _log.info("serving on port %d after %.2f s", self.port, time.monotonic() - started)

    def _bind_all(self) -> None:
        self.port = self._bind()
        self._http = self._build_http() if self._settings.http_port is not None else None

    def _listen(self) -> None:
        grpcio_loop.start(self._grpc, self._engine.workers.lead, self._refuse)
        if self._http:
            self._http.start()
            _log.info("HTTP on port %d", self._http.port)

    def _check_folders(self) -> None:
        """Raise ModelError for folders without models before the first model is loaded."""
        places = self._settings.models
        folders = [place for place in places if isinstance(place, Path)]
        files = model_files(folders, self._settings.version_policy)
        # What is at URLs is known when they have been read.
        if len(folders) == len(places):
            self._check_served([file.parent.parent.name for file in files])

    def _check_served(self, names: Sequence[str]) -> None:
        if not names:
            places = ", ".join(map(str, self._settings.models))
            raise ModelError(f"{places} has no file NAME/VERSION/model.onnx")
        if "default_model" in self._settings.model_fields_set:
            check_served(self._settings.default_model, names)

    def refuse(self) -> None:
        """Refuse further requests, and give those that come now a last chance to hear of it."""
        self._readiness.drain()
        time.sleep(min(_LAST_CALLS_SECONDS, self._settings.grace_seconds))

    def stop(self, grace: float | None = None) -> None:
        """Refuse further requests, finish those in work for up to `grace` seconds, and end."""
        seconds = self._settings.grace_seconds if grace is None else grace
        ends = time.monotonic() + seconds
        self._readiness.drain()
        if self._polling:
            self._polling.stop()
        self._lifecycle.close()
        if self._profiler:
            self._profiler.stop()
        time.sleep(min(_LAST_CALLS_SECONDS, seconds))
        self._readiness.hold()
        time.sleep(min(_HELD_SECONDS, seconds))
        for places in (self._limits.receptions, self._limits.health_receptions):
            places.dismiss(self._readiness.refusal())
        left = max(0.0, ends - time.monotonic())
        stopped = self._grpc.stop(left)
        if self._http:
            self._http.stop(left)
        self._readiness.release()
        self._wait_for_calls(stopped, left)
        self._grpc.stop(0).wait(_CANCELLED_SECONDS)
        self._ticker.stop()
        self._observing.stop(max(_LAST_TRACES_SECONDS, ends - time.monotonic()))
        self._engine.close()

    def _wait_for_calls(self, stopped: Event, seconds: float) -> None:
        """Wait until gRPC has stopped, or no call is active: clients can keep their connections open."""
        ends = quiet = time.monotonic()
        ends += seconds
        while (now := time.monotonic()) < ends and now - quiet < _QUIET_SECONDS:
            if stopped.wait(_LOOK_SECONDS):
                return
            if self._receiving.active:
                quiet = time.monotonic()

    def _refuse(self, call: AnnouncedCall) -> bool:
        """End a call that its caller may not make, or that a crowded server would refuse."""
        if not self._entrance.is_open and self._announced.refuse(call):
            return True
        if not self._engine.workers.is_crowded:
            return False
        direct = self._direct.get(call.method())
        return direct is not None and direct.refuse(call)

    def _watch_progress(self) -> None:
        self._readiness.stall(self._engine.workers.stalled_seconds > STALL_SECONDS)

    def _give_back_memory(self) -> None:
        if self._limits.bytes_in_flight.held == 0 and self._limits.bytes_in_flight.take_peak() > _LARGE_BYTES:
            self._trim()

    def _resources(self) -> Resources:
        settings = self._settings
        return Resources(
            device=settings.device,
            provider=settings.provider,
            precision=settings.precision,
            workers=settings.effective_concurrency,
            threads_per_worker=settings.threads_per_worker,
            max_batch=settings.max_batch,
            score_cam_channels=settings.score_cam_channels,
            gpu_memory_limit=settings.gpu_memory_limit,
            engine_cache=settings.engine_cache,
            rules=self._rules,
        )

    def _build_engine(self) -> Engine:
        settings = self._settings
        bounds = Bounds(
            settings.effective_max_in_flight,
            settings.max_queue_seconds,
            settings.effective_max_calls_per_connection,
        )
        workers = Workers(settings.effective_concurrency, bounds)
        responses = None
        if settings.response_cache_bytes:
            per_caller = settings.response_cache_per_caller
            responses = ResponseCache(settings.response_cache_bytes, per_caller=per_caller)
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        return Engine(self._repository, workers, limits, responses)

    def _build_lifecycle(self) -> Lifecycle:
        return Lifecycle(
            [open_store(place, self._settings.remote_options) for place in self._settings.models],
            self._repository,
            self._settings.version_policy,
            lambda path: self._open_model(path),
            prepare=self._prepare,
            changed=self._announce,
            published=self._readiness.announce,
            ended=self._engine.workers.forget,
        )

    def _prepare(self, model: Model) -> None:
        """Get a model ready that is to serve beside others, or in place of one."""
        if self._profiler:
            self._profiler.prepare(model)
        before = self._repository.versions(model.card.name)
        if before.models:
            self._engine.workers.expect(model, before.default)

    def _announce(self, status: Status) -> None:
        self._readiness.announce(f"{status.name}/{status.version}", status.state == State.SERVING)

    def _end_models(self) -> None:
        if self._lifecycle.tick():
            self._trim()

    def _follow_https(self) -> None:
        if self._http:
            self._http.tick()

    def _build_http(self) -> HttpServing:
        try:
            # It takes long to import: only a server with HTTP does.
            from spyglass_server.http.serving import HttpServing
        except ImportError as error:
            raise ListenError(
                f"--http-port needs {error.name}, which is not installed: install Spyglass with the extra "
                "http",
                reason="EXTRA_MISSING",
            ) from None
        return HttpServing(
            self._settings,
            self._handlers,
            self._readiness,
            self._entrance,
            self._observing.observers,
            self._limits,
            self._threads,
            self._observing.not_alive,
            self._observing.not_ready,
            self._inference,
            self._descriptions,
            self._models,
            shared=self._sharing is not None,
        )

    def _build_server(self) -> grpc.Server:
        # A process can have the messages of the Open Inference Protocol only once, such as those of another
        # client: only one with a gRPC server imports them.
        from spyglass.inference.v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
        from spyglass_server.servicers.open_inference.descriptions import Descriptions
        from spyglass_server.servicers.open_inference.direct import inference_methods
        from spyglass_server.servicers.open_inference.model_repository import ModelRepository
        from spyglass_server.servicers.open_inference.service import InferenceService
        from spyglass_server.servicers.open_inference.waiting import Waiting

        settings = self._settings
        # Requests of a stream in work: of direct calls, which take no thread for each, more.
        window = 2 * settings.effective_concurrency
        handlers, threads, observers = self._handlers, self._threads, self._observing.observers
        vision = Vision(handlers, self._readiness, observers, self._entrance, window=window)
        inference = self._inference = OpenInference(self._engine)
        waiting = Waiting(inference, observers, self._entrance, window=window)
        models = self._models = ModelRepository(
            inference, self._lifecycle.statuses, self._administration if settings.admin else None
        )
        self._descriptions = Descriptions(inference, self._readiness, self._observing.totals)
        service = InferenceService(self._descriptions, self._readiness, waiting, models)
        limits = self._limits
        infer = inference_methods(inference)
        self._direct = direct_calls(
            [*vision_methods(handlers), infer],
            self._readiness,
            threads,
            limits.streams,
            observers,
            self._entrance,
            window=4 * window,
        )
        self._announced = AnnouncedCalls(
            self._entrance,
            observers,
            [path for path in (*TASK_OF_METHOD, infer[0].path) if not path.endswith("Stream")],
        )
        self._receiving = Receiving(
            threads,
            limits.receptions,
            limits.health_receptions,
            limits.bytes_in_flight,
            limits.reading,
            self._direct,
        )
        server = grpc.server(
            threads,
            interceptors=[
                # Outside of all: a call gets a thread, and is observed, when its request is there.
                self._receiving,
                # Outside of the errors: observers see the status that an error has become.
                Observed(observers),
                Errors(),
                # The refusals of those inside are errors, too.
                Authenticated(self._gate),
                StreamLimit(limits.streams),
                Parsing(),
            ],
            options=channel_options(settings, shares_port=self._sharing is not None),
        )
        add_VisionServicer_to_server(vision, server)
        add_GRPCInferenceServiceServicer_to_server(service, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._readiness.health, server)
        services = [VISION, OPEN_INFERENCE, HEALTH, reflection.SERVICE_NAME]
        if settings.admin:
            add_AdminServicer_to_server(Admin(self._administration, self._readiness), server)
            services.append(ADMIN)
        reflection.enable_server_reflection(services, server)
        return server

    def _bind(self) -> int:
        address = self._settings.listen_address
        try:
            if self._tls:
                return self._grpc.add_secure_port(address, self._tls.for_grpc())
            return self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            reason = why_not(self._settings.effective_host, self._settings.port)
            raise ListenError(f"the server cannot listen on {address}: {reason}") from error


def _nothing_seen(model: Model) -> None:
    """Return the statistics of a model if nobody keeps them."""


def _credentials(settings: ServerSettings) -> ReloadingCredentials | None:
    if settings.tls_files is None:
        return None
    # `cryptography` takes long to import: only a server with TLS does.
    from spyglass_server.tls.reloading import ReloadingCredentials

    return ReloadingCredentials(settings.tls_files)
