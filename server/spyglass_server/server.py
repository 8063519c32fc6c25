"""The server: built from settings, started, drained and stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spyglass_contract.errors import ModelError
from spyglass_contract.images.header import Limits
from spyglass_server.access.gate import Gate
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
from spyglass_server.limits import WireLimits, caller_quota
from spyglass_server.listening import ListenError
from spyglass_server.observing.observing import Observing
from spyglass_server.observing.stall import STALL_SECONDS
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.parts import Parts
from spyglass_server.servicers.readiness import Readiness
from spyglass_server.servicers.serving import GrpcServing
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
        self._parts = self._build_parts()
        self._grpc = GrpcServing(
            self._parts, self._lifecycle.statuses, self._administration if settings.admin else None
        )
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
        self.port = self._grpc.bind(self._tls)
        self._http = self._build_http() if self._settings.http_port is not None else None

    def _listen(self) -> None:
        self._grpc.start()
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
        self._grpc.refuse_unfinished()
        left = max(0.0, ends - time.monotonic())
        stopped = self._grpc.stop(left)
        if self._http:
            self._http.stop()
        self._readiness.release()
        self._grpc.wait(stopped, left)
        if self._http:
            self._http.wait(max(0.0, ends - time.monotonic()))
        self._ticker.stop()
        self._observing.stop(max(_LAST_TRACES_SECONDS, ends - time.monotonic()))
        self._engine.close()

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

    def _build_parts(self) -> Parts:
        settings, seen = self._settings, self._observing.seen
        threads = settings.effective_max_in_flight + settings.max_streams + _SPARE_THREADS
        return Parts(
            settings,
            self._engine,
            Handlers(self._engine, seen.of if seen else _nothing_seen, self._lifecycle),
            self._readiness,
            self._entrance,
            self._observing,
            self._limits,
            ThreadPoolExecutor(threads, "grpc"),
            shares_ports=self._sharing is not None,
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
        return HttpServing(self._parts, self._grpc.inference, self._grpc.descriptions, self._grpc.models)


def _nothing_seen(model: Model) -> None:
    """Return the statistics of a model if nobody keeps them."""


def _credentials(settings: ServerSettings) -> ReloadingCredentials | None:
    if settings.tls_files is None:
        return None
    # `cryptography` takes long to import: only a server with TLS does.
    from spyglass_server.tls.reloading import ReloadingCredentials

    return ReloadingCredentials(settings.tls_files)
