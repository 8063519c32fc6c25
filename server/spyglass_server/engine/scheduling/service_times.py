"""How long works take, measured while they run."""

from __future__ import annotations

from collections.abc import Hashable

from spyglass_server.engine.work import Work

_SMOOTHING = 0.1
# The estimate for a model that has never run here and has no profile, in seconds.
_UNKNOWN_SECONDS = 0.01
# A caller can make up kinds of work: the sizes of images, and the numbers of classes to explain.
_MAX_KEYS = 4096


class ServiceTimes:
    """Smoothed seconds of a worker for each model and kind of work; not safe for several threads at once."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, Hashable], float] = {}
        self._of_model: dict[int, float] = {}

    def expected(self, work: Work) -> float:
        """Return the seconds that a work is expected to take, alone in its batch or not."""
        model = id(work.model)
        known = self._seconds.get((model, work.cost_key))
        return self._of_model.get(model, _first_estimate(work)) if known is None else known

    def record(self, work: Work, seconds: float) -> None:
        """Take a measured time into account."""
        key = (id(work.model), work.cost_key)
        if key not in self._seconds and len(self._seconds) >= _MAX_KEYS:
            self._seconds.clear()
        self._seconds[key] = _smoothed(self._seconds.get(key), seconds)
        self._of_model[key[0]] = _smoothed(self._of_model.get(key[0]), seconds)


def _first_estimate(work: Work) -> float:
    profile = work.model.profile
    return profile.image_seconds if profile else _UNKNOWN_SECONDS


def _smoothed(before: float | None, seconds: float) -> float:
    return seconds if before is None else before + _SMOOTHING * (seconds - before)
