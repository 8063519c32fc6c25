"""The HTTP side of a server, built from its settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from spyglass_server.handlers import Handlers
from spyglass_server.http.application import Check, application
from spyglass_server.http.arrivals import Arrivals
from spyglass_server.http.connections import limited
from spyglass_server.http.crowd import Crowd
from spyglass_server.http.exchange import Exchanges
from spyglass_server.http.open_inference.routes import InferenceRoutes
from spyglass_server.http.port import HttpPort
from spyglass_server.http.vision import vision_routes
from spyglass_server.limits import WireLimits
from spyglass_server.observing.observers import Observers
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.open_inference.descriptions import Descriptions
from spyglass_server.servicers.open_inference.model_repository import ModelRepository
from spyglass_server.servicers.readiness import Readiness
from spyglass_server.settings import ServerSettings
from spyglass_server.tls.https import HttpsContext


class HttpServing:
    """The port, and what follows the files of its certificate."""

    def __init__(
        self,
        settings: ServerSettings,
        handlers: Handlers,
        readiness: Readiness,
        entrance: Entrance,
        observers: Observers,
        limits: WireLimits,
        threads: ThreadPoolExecutor,
        alive: Check,
        ready: Check,
        inference: OpenInference,
        descriptions: Descriptions,
        models: ModelRepository,
        *,
        shared: bool = False,
    ) -> None:
        """Bind the port of the settings, which must have one.

        `shared`: other processes listen on the port, too. Raises ListenError and TlsError.
        """
        arrivals = Arrivals(
            limits.bytes_in_flight, longest=settings.max_body_bytes, seconds=settings.receive_seconds
        )
        exchanges = Exchanges(readiness, entrance, observers, arrivals, threads)
        self._https = (
            HttpsContext(settings.tls_files, most_connections=settings.max_connections)
            if settings.tls_files
            else None
        )
        inferring = InferenceRoutes(inference, descriptions, models, readiness, exchanges)
        routes = [*vision_routes(handlers, exchanges), *inferring.routes()]
        crowd = Crowd(most_connections=settings.max_connections, bytes_in_flight=limits.bytes_in_flight.limit)
        connections = limited(crowd, seconds=settings.receive_seconds)
        host = settings.effective_host
        self._port = HttpPort(
            application(routes, alive, ready),
            "localhost" if host.startswith("unix") else host,
            settings.http_port or 0,
            connections,
            self._https.context if self._https else None,
            shared=shared,
        )
        self.port = self._port.port
        self.start = self._port.start
        self.stop = self._port.stop

    def tick(self) -> None:
        """Follow the files of the certificate; to be called now and then."""
        if self._https:
            self._https.tick()
