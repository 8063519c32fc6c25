"""What each model has seen of late, in numbers: no image is kept."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.model.drift import Drift, drift
from spyglass_contract.model.statistics import Statistics
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.observation import Observation


class SeenByModels:
    """An observer that keeps the statistics of each model's last images: `window` to twice as many."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._seen: dict[tuple[str, int], _Window] = {}
        self._lock = Lock()

    def __call__(self, observation: Observation) -> None:
        """Count the image of an answered request."""
        inferred, model = observation.inferred, observation.model
        if observation.code != "OK" or inferred is None or model is None:
            return
        # A heatmap's output holds the probabilities beside its maps.
        output: NDArray[np.float32] = getattr(inferred.output, "probabilities", inferred.output)
        prepared = inferred.prepared
        with self._lock:
            self._window_of(model).add(
                output, prepared.pixels, (prepared.width, prepared.height), observation.image_format
            )

    def of(self, model: Model) -> Statistics | None:
        """Return the statistics of a model; None if it has seen nothing."""
        with self._lock:
            window = self._seen.get(_key(model))
            return window.whole() if window and window.sha256 == model.served_by.sha256 else None

    def drift(self, model: Model) -> Iterator[Drift]:
        """Yield how far each quantity is from the baseline of the model, if it has one."""
        if model.card.HasField("baseline") and (seen := self.of(model)):
            yield from drift(Statistics.from_message(model.card.baseline), seen)

    def _window_of(self, model: Model) -> _Window:
        window, sha256 = self._seen.get(_key(model)), model.served_by.sha256
        if window is None or window.sha256 != sha256:
            # Another file may have other classes.
            window = self._seen[_key(model)] = _Window(self._window, sha256)
        return window


class _Window:
    """The statistics of the last images, as an old half and a new one."""

    def __init__(self, size: int, sha256: str) -> None:
        self._size = size
        self.sha256 = sha256
        self._old, self._new = Statistics(), Statistics()

    def add(
        self,
        output: NDArray[np.float32],
        pixels: NDArray[np.uint8],
        size: tuple[int, int],
        image_format: str,
    ) -> None:
        if self._new.images >= self._size:
            self._old, self._new = self._new, Statistics()
        self._new.add(output, pixels, size, image_format)

    def whole(self) -> Statistics:
        return self._new.merged([self._old])


def _key(model: Model) -> tuple[str, int]:
    return model.card.name, model.card.version
