"""How long works take, measured while they run."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from spyglass_server.engine.work import Work

_SMOOTHING = 0.1
# The estimate for a model that has never run here and has no profile, in seconds.
_UNKNOWN_SECONDS = 0.01
# A caller can make up kinds of work: the sizes of images, and the numbers of classes to explain.
_MAX_KEYS = 4096
# A work is light if it takes less processor time than this on average, and none of the last ones took long.
_LIGHT_SECONDS = 0.0004
_LONG_SECONDS, _LONG_CPU_SECONDS = 0.05, 0.005
_MANY_RUNS = 50


@dataclass
class _Kind:
    """The times of one model and kind of work."""

    seconds: float
    # Processor time: threads that compete for Python's lock do not make it longer.
    cpu_seconds: float
    # Runs since the last long one.
    short_runs: int = 0


class ServiceTimes:
    """Smoothed seconds of a worker for each model and kind of work; not safe for several threads at once."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, Hashable], _Kind] = {}
        self._of_model: dict[int, float] = {}
        self._mean = _UNKNOWN_SECONDS
        # Of works that go on in other jobs: the seconds of these until the last one ends.
        self._further: dict[tuple[int, Hashable], float] = {}

    def expected(self, work: Work) -> float:
        """Return the seconds that a work is expected to take, alone in its batch or not."""
        model = id(work.model)
        known = self._kinds.get((model, work.cost_key))
        return self._of_model.get(model, _first_estimate(work)) if known is None else known.seconds

    def is_light(self, work: Work) -> bool:
        """Return whether many works of this kind in a row took a fraction of a millisecond."""
        known = self._kinds.get((id(work.model), work.cost_key))
        return known is not None and known.short_runs >= _MANY_RUNS and known.cpu_seconds < _LIGHT_SECONDS

    def further(self, work: Work) -> float:
        """Return the seconds that the other jobs of a work are expected to take after it."""
        return self._further.get((id(work.model), work.cost_key), 0.0)

    def expect(self, model: int, like: int) -> None:
        """Expect of the model with the first `id` the mean time of the second, until it has run."""
        if like in self._of_model:
            self._of_model.setdefault(model, self._of_model[like])

    def forget(self, model: int) -> None:
        """Forget the times of the model with this `id`, which another model may get."""
        self._of_model.pop(model, None)
        for times in (self._kinds, self._further):
            for key in [key for key in times if key[0] == model]:
                del times[key]

    def record_further(self, work: Work, seconds: float) -> None:
        """Take the measured time of the other jobs of a work into account."""
        key = (id(work.model), work.cost_key)
        if key not in self._further and len(self._further) >= _MAX_KEYS:
            self._further.clear()
        self._further[key] = _smoothed(self._further.get(key), seconds)

    @property
    def mean(self) -> float:
        """The mean seconds of the last works of any kind."""
        return self._mean

    def record(self, work: Work, seconds: float, cpu_seconds: float) -> None:
        """Take the measured time of a work into account, and the processor time of its thread."""
        key = (id(work.model), work.cost_key)
        if key not in self._kinds and len(self._kinds) >= _MAX_KEYS:
            self._kinds.clear()
            self._of_model.clear()
        kind = self._kinds.setdefault(key, _Kind(seconds, cpu_seconds))
        kind.seconds = _smoothed(kind.seconds, seconds)
        kind.cpu_seconds = _smoothed(kind.cpu_seconds, cpu_seconds)
        long = seconds > _LONG_SECONDS or cpu_seconds > _LONG_CPU_SECONDS
        kind.short_runs = 0 if long else kind.short_runs + 1
        self._mean = _smoothed(self._mean, seconds)
        self._of_model[key[0]] = _smoothed(self._of_model.get(key[0]), seconds)


def _first_estimate(work: Work) -> float:
    profile = work.model.profile
    return profile.image_seconds if profile else _UNKNOWN_SECONDS


def _smoothed(before: float | None, seconds: float) -> float:
    return seconds if before is None else before + _SMOOTHING * (seconds - before)
