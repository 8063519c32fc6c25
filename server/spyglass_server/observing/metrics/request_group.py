"""The requests of one method and model, counted as they end."""

from __future__ import annotations

from collections import Counter

from spyglass_server.engine.observation import Observation
from spyglass_server.observing.metrics.histogram import IMAGES, SECONDS, Histogram

STAGES = ("decode", "queue", "inference", "encode")
"""The stages of a request."""


class RequestGroup:
    """Counts, times and sizes; not safe for several threads."""

    __slots__ = (
        "answered",
        "batch",
        "codes",
        "duration",
        "formats",
        "method",
        "model",
        "pixels",
        "received",
        "sent",
        "stages",
    )

    def __init__(self, method: str, name: str, version: str) -> None:
        self.method = method
        self.model = (name, version)
        self.codes: Counter[str] = Counter()
        self.duration = Histogram(SECONDS)
        self.stages = tuple(Histogram(SECONDS) for _ in STAGES)
        self.batch = Histogram(IMAGES)
        # By provider and precision.
        self.answered: Counter[tuple[str, str]] = Counter()
        self.formats: Counter[str] = Counter()
        self.pixels = self.received = self.sent = 0

    def add(self, observation: Observation) -> None:
        """Count a request."""
        code = observation.code
        self.codes[code] += 1
        self.received += observation.request_bytes
        if code == "OK":
            self.duration.add(observation.ended - observation.started)
            self.sent += observation.response_bytes

    def add_stages(self, observation: Observation) -> None:
        """Count the stages of a request, or of one of its images, that a network answered."""
        inferred, timing, served_by = observation.inferred, observation.timing, observation.served_by
        if inferred is None or timing is None or served_by is None:
            return
        decode, queue, inference, encode = self.stages
        decode.add(inferred.decode_ms / 1000)
        queue.add(inferred.queue_ms / 1000)
        inference.add(inferred.inference_ms / 1000)
        encode.add(timing.encode_ms / 1000)
        self.batch.add(inferred.batch_size)
        self.pixels += inferred.prepared.width * inferred.prepared.height
        self.formats[observation.image_format] += 1
        self.answered[served_by.provider, served_by.precision] += 1
