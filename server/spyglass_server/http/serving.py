"""The HTTP side of a server, built from its settings."""

from __future__ import annotations

from spyglass_server.http.application import application
from spyglass_server.http.arrivals import Arrivals
from spyglass_server.http.connections import limited
from spyglass_server.http.crowd import Crowd
from spyglass_server.http.exchange import Exchanges
from spyglass_server.http.open_inference.routes import InferenceRoutes
from spyglass_server.http.port import HttpPort
from spyglass_server.http.vision import vision_routes
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.servicers.open_inference.descriptions import Descriptions
from spyglass_server.servicers.open_inference.model_repository import ModelRepository
from spyglass_server.servicers.parts import Parts
from spyglass_server.tls.https import HttpsContext


class HttpServing:
    """The port, and what follows the files of its certificate."""

    def __init__(
        self,
        parts: Parts,
        inference: OpenInference,
        descriptions: Descriptions,
        models: ModelRepository,
    ) -> None:
        """Bind the port of the settings, which must have one. Raises ListenError and TlsError."""
        settings, limits, observing = parts.settings, parts.limits, parts.observing
        arrivals = Arrivals(
            limits.bytes_in_flight, longest=settings.max_body_bytes, seconds=settings.receive_seconds
        )
        exchanges = Exchanges(parts.readiness, parts.entrance, observing.observers, arrivals, parts.threads)
        self._https = (
            HttpsContext(settings.tls_files, most_connections=settings.max_connections)
            if settings.tls_files
            else None
        )
        inferring = InferenceRoutes(inference, descriptions, models, parts.readiness, exchanges)
        routes = [*vision_routes(parts.handlers, exchanges), *inferring.routes()]
        crowd = Crowd(most_connections=settings.max_connections, bytes_in_flight=limits.bytes_in_flight.limit)
        connections = limited(crowd, seconds=settings.receive_seconds)
        host = settings.effective_host
        self._port = HttpPort(
            application(routes, observing.not_alive, observing.not_ready),
            "localhost" if host.startswith("unix") else host,
            settings.http_port or 0,
            connections,
            self._https.context if self._https else None,
            shared=parts.shares_ports,
        )
        self.port = self._port.port
        self.start = self._port.start
        self.stop = self._port.stop
        self.wait = self._port.wait

    def tick(self) -> None:
        """Follow the files of the certificate; to be called now and then."""
        if self._https:
            self._https.tick()
