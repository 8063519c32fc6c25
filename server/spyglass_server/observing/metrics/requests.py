"""What requests did: how many there were, how they ended, and how long each stage took."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from spyglass_server.engine.observation import Observation

# Seconds. From 0.1 ms, a tiny image, to half a minute.
_SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
_STAGES = ("decode", "queue", "inference", "encode")

_VISION = "/spyglass.v1.Vision/"

# Status codes of requests that the server refused, and of those that it did not finish.
_REFUSED = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED"})
_DROPPED = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})


class RequestMetrics:
    """An observer that counts. Labels come from the server's own names, so their number is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        model = ("model", "version")
        self._requests = Counter(
            "spyglass_requests",
            "Requests that ended; a message of a stream is a request.",
            ("method", *model, "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "spyglass_request_duration_seconds",
            "Time from the arrival of a request to its response.",
            ("method", *model),
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "spyglass_stage_duration_seconds",
            "Time of one stage of an answered request: decode, queue, inference or encode.",
            ("stage", *model),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "spyglass_batch_size",
            "Images in the run of the network that answered a request.",
            model,
            buckets=_IMAGES,
            registry=registry,
        )
        self._pixels = Counter(
            "spyglass_image_pixels", "Pixels of the images that were decoded.", model, registry=registry
        )
        self._formats = Counter(
            "spyglass_images", "Images that were decoded, by format.", ("format",), registry=registry
        )
        self._answered = Counter(
            "spyglass_answered",
            "Requests that a network answered, by what computed it.",
            (*model, "provider", "precision"),
            registry=registry,
        )
        self._received = Counter(
            "spyglass_received_bytes", "Bytes of request messages.", ("method",), registry=registry
        )
        self._sent = Counter(
            "spyglass_sent_bytes", "Bytes of response messages.", ("method",), registry=registry
        )
        self._refused = Counter(
            "spyglass_refused", "Requests that the server refused, by reason.", ("reason",), registry=registry
        )
        self._dropped = Counter(
            "spyglass_dropped",
            "Requests that were cancelled or whose deadline passed, by reason.",
            ("reason",),
            registry=registry,
        )
        self._streams = Counter(
            "spyglass_streams", "Streams that ended.", ("method", "code"), registry=registry
        )
        # To find a metric by its labels takes longer than to count.
        self._known: dict[tuple[str, str, int, str], _Children] = {}

    def __call__(self, observation: Observation) -> None:
        """Count a request."""
        method = short_method(observation.method)
        if observation.kind == "stream":
            self._streams.labels(method, observation.code).inc()
            return
        card = observation.model.card if observation.model else None
        name, version = (card.name, card.version) if card else ("", 0)
        key = (method, name, version, observation.code)
        children = self._known.get(key)
        if children is None:
            children = self._known[key] = self._children(method, name, version, observation.code)
        children.requests.inc()
        children.received.inc(observation.request_bytes)
        if observation.code != "OK":
            self._failed(observation)
            return
        children.seconds.observe(observation.seconds)
        children.sent.inc(observation.response_bytes)
        if observation.inferred:
            self._ran(observation, children)

    def _ran(self, observation: Observation, children: _Children) -> None:
        timing, inferred = observation.timing, observation.inferred
        if timing is None or inferred is None:
            return
        decode, queue, inference, encode = children.stages
        decode.observe(timing.decode_ms / 1000)
        queue.observe(timing.queue_ms / 1000)
        inference.observe(timing.inference_ms / 1000)
        encode.observe(timing.encode_ms / 1000)
        children.batches.observe(timing.batch_size)
        children.pixels.inc(inferred.prepared.width * inferred.prepared.height)
        self._formats.labels(observation.image_format).inc()
        served_by = observation.response.served_by
        self._answered.labels(
            served_by.model, served_by.version, served_by.provider, served_by.precision
        ).inc()

    def _failed(self, observation: Observation) -> None:
        if observation.code in _REFUSED:
            self._refused.labels(observation.reason).inc()
        elif observation.code in _DROPPED:
            self._dropped.labels(observation.reason or observation.code).inc()

    def _children(self, method: str, name: str, version: int, code: str) -> _Children:
        model = (name, str(version) if version else "")
        return _Children(
            self._requests.labels(method, *model, code),
            self._seconds.labels(method, *model),
            [self._stages.labels(stage, *model) for stage in _STAGES],
            self._batches.labels(*model),
            self._pixels.labels(*model),
            self._received.labels(method),
            self._sent.labels(method),
        )


class _Children:
    """The metrics of one combination of labels."""

    __slots__ = ("batches", "pixels", "received", "requests", "seconds", "sent", "stages")

    def __init__(
        self,
        requests: Counter,
        seconds: Histogram,
        stages: Sequence[Histogram],
        batches: Histogram,
        pixels: Counter,
        received: Counter,
        sent: Counter,
    ) -> None:
        self.requests = requests
        self.seconds = seconds
        self.stages = stages
        self.batches = batches
        self.pixels = pixels
        self.received = received
        self.sent = sent


def short_method(path: str) -> str:
    """Return `Classify` for a method of Vision, and `SERVICE/METHOD` for others."""
    return path[len(_VISION) :] if path.startswith(_VISION) else path.lstrip("/")
