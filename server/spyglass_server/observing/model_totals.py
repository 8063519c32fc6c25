"""What each version of a model has done since the server started: counts, and sums of times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock

from spyglass_server.engine.observation import Observation


@dataclass
class StageTotals:
    """Images, and the sums of their times in milliseconds."""

    images: int = 0
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    encode_ms: float = 0.0

    def copy(self) -> StageTotals:
        """Return the same numbers."""
        return StageTotals(self.images, self.queue_ms, self.decode_ms, self.inference_ms, self.encode_ms)


@dataclass
class ModelTotals:
    """What one version of a model has done."""

    # Requests, and the sums of their times in seconds.
    succeeded: int = 0
    succeeded_seconds: float = 0.0
    failed: int = 0
    failed_seconds: float = 0.0
    # Images for which no network ran, because the response cache had their outputs.
    cached: int = 0
    # The time of the last response, in seconds since 1970; 0: there was none.
    last: float = 0.0
    # The answered images by the size of the batch that they ran in.
    batches: dict[int, StageTotals] = field(default_factory=dict)

    @property
    def images(self) -> StageTotals:
        """The sums of all batch sizes."""
        total = StageTotals()
        for part in self.batches.values():
            total.images += part.images
            total.queue_ms += part.queue_ms
            total.decode_ms += part.decode_ms
            total.inference_ms += part.inference_ms
            total.encode_ms += part.encode_ms
        return total

    @property
    def runs(self) -> int:
        """The runs of the network: a batch of which an image failed counts in part, rounded down."""
        return sum(part.images // size for size, part in self.batches.items())


class TotalsOfModels:
    """An observer that counts the requests of each version, of all protocols together."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, int], ModelTotals] = {}
        self._lock = Lock()

    def __call__(self, observation: Observation) -> None:
        """Count a request whose model was found, or one of its images."""
        model = observation.model
        if model is None or observation.kind == "stream":
            return
        key = (model.card.name, model.card.version)
        with self._lock:
            totals = self._totals.get(key) or self._totals.setdefault(key, ModelTotals())
            if observation.code != "OK":
                totals.failed += 1
                totals.failed_seconds += observation.seconds
                return
            if observation.kind != "image":
                totals.succeeded += 1
                totals.succeeded_seconds += observation.seconds
                totals.last = time.time()
            if observation.cached and not observation.images:
                totals.cached += 1
            inferred, timing = observation.inferred, observation.timing
            if inferred is None or timing is None:
                return
            stages = totals.batches.get(inferred.batch_size)
            if stages is None:
                stages = totals.batches[inferred.batch_size] = StageTotals()
            stages.images += 1
            stages.queue_ms += inferred.queue_ms
            stages.decode_ms += inferred.decode_ms
            stages.inference_ms += timing.inference_ms
            stages.encode_ms += timing.encode_ms

    def of(self, name: str, version: int) -> ModelTotals:
        """Return what a version has done so far; zeros if it has had no request."""
        with self._lock:
            found = self._totals.get((name, version), ModelTotals())
            return ModelTotals(
                found.succeeded,
                found.succeeded_seconds,
                found.failed,
                found.failed_seconds,
                found.cached,
                found.last,
                {size: part.copy() for size, part in sorted(found.batches.items())},
            )
