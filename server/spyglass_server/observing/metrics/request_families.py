"""The metrics of requests as Prometheus reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from spyglass_server.observing.metrics.histogram import Histogram
from spyglass_server.observing.metrics.request_group import STAGES, RequestGroup

_MODEL = ("model", "version")


class RequestFamilies:
    """Families that `add` and `add_reasons` fill."""

    def __init__(self) -> None:
        self._requests = CounterMetricFamily(
            "spyglass_requests",
            "Requests that ended; a message of a stream is a request.",
            labels=("method", *_MODEL, "code"),
        )
        self._duration = HistogramMetricFamily(
            "spyglass_request_duration_seconds",
            "Time from the arrival of an answered request to its response.",
            labels=("method", *_MODEL),
        )
        self._stages = HistogramMetricFamily(
            "spyglass_stage_duration_seconds",
            "Time of one stage of an answered request: decode, queue, inference or encode.",
            labels=("stage", *_MODEL),
        )
        self._batch = HistogramMetricFamily(
            "spyglass_batch_size", "Images in the run of the network that answered a request.", labels=_MODEL
        )
        self._answered = CounterMetricFamily(
            "spyglass_answered",
            "Requests that a network answered, by what computed it.",
            labels=(*_MODEL, "provider", "precision"),
        )
        self._pixels = CounterMetricFamily(
            "spyglass_image_pixels", "Pixels of the images that were decoded.", labels=_MODEL
        )
        self._images = CounterMetricFamily(
            "spyglass_images", "Images that were decoded, by format.", labels=("format",)
        )
        self._received = CounterMetricFamily(
            "spyglass_received_bytes", "Bytes of request messages.", labels=("method",)
        )
        self._sent = CounterMetricFamily(
            "spyglass_sent_bytes", "Bytes of response messages.", labels=("method",)
        )
        self._streams = CounterMetricFamily(
            "spyglass_streams", "Streams that ended.", labels=("method", "code")
        )
        self._refused = CounterMetricFamily(
            "spyglass_refused", "Requests and streams that the server refused, by reason.", labels=("reason",)
        )
        self._dropped = CounterMetricFamily(
            "spyglass_dropped",
            "Requests and streams that were cancelled or whose deadline passed, by reason.",
            labels=("reason",),
        )

    def add(self, groups: Iterable[RequestGroup]) -> None:
        """Add what groups have counted; several of them may have one model or one method."""
        formats: Counter[str] = Counter()
        received: Counter[str] = Counter()
        sent: Counter[str] = Counter()
        by_model: dict[tuple[str, str], _OfModel] = {}
        for group in groups:
            for code, count in group.codes.items():
                self._requests.add_metric((group.method, *group.model, code), count)
            _add(self._duration, (group.method, *group.model), group.duration)
            by_model.setdefault(group.model, _OfModel()).add(group)
            formats.update(group.formats)
            received[group.method] += group.received
            sent[group.method] += group.sent
        for model, found in by_model.items():
            found.fill(model, self._stages, self._batch)
            for computed_by, count in found.answered.items():
                self._answered.add_metric((*model, *computed_by), count)
            if found.pixels:
                self._pixels.add_metric(model, found.pixels)
        _count(self._images, formats)
        _count(self._received, received)
        _count(self._sent, sent)

    def add_reasons(
        self,
        streams: Mapping[tuple[str, str], int],
        refused: Mapping[str, int],
        dropped: Mapping[str, int],
    ) -> None:
        """Add the streams by method and code, and what was refused and dropped by reason."""
        for labels, count in streams.items():
            self._streams.add_metric(labels, count)
        _count(self._refused, refused)
        _count(self._dropped, dropped)

    def all(self) -> list[Metric]:
        """Return every family."""
        return [
            self._requests,
            self._duration,
            self._stages,
            self._batch,
            self._answered,
            self._pixels,
            self._images,
            self._received,
            self._sent,
            self._streams,
            self._refused,
            self._dropped,
        ]


class _OfModel:
    """The sums of all methods of one model."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str]] = Counter()
        self.pixels = 0
        self._stages: list[tuple[Histogram, ...]] = []
        self._batches: list[Histogram] = []

    def add(self, group: RequestGroup) -> None:
        """Add one method."""
        self.answered.update(group.answered)
        self.pixels += group.pixels
        self._stages.append(group.stages)
        self._batches.append(group.batch)

    def fill(
        self, model: tuple[str, str], stages: HistogramMetricFamily, batch: HistogramMetricFamily
    ) -> None:
        """Add the histograms to their families."""
        for name, parts in zip(STAGES, zip(*self._stages, strict=True), strict=True):
            _add(stages, (name, *model), Histogram.total(parts))
        _add(batch, model, Histogram.total(self._batches))


def _add(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    if buckets := histogram.buckets():
        family.add_metric(labels, buckets, histogram.sum)


def _count(family: CounterMetricFamily, counts: Mapping[str, int]) -> None:
    for label, count in counts.items():
        family.add_metric((label,), count)
