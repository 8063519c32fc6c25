"""Learning rates that change from step to step."""

from __future__ import annotations

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

# Where an exponential fall ends, in parts of where it starts.
_EXPONENTIAL_END = 0.01


@keras.saving.register_keras_serializable("spyglass")
class Schedule(LearningRateSchedule):
    """Rises from zero over `warmup` steps, then falls from `start` over the rest of `steps`.

    `kind` is `constant`, `linear` or `cosine`, which fall to zero, or `exponential`, to a hundredth.
    """

    def __init__(self, kind: str, start: float, steps: int, warmup: int = 0) -> None:
        super().__init__()
        self.kind, self.start, self.steps, self.warmup = kind, start, steps, warmup

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        step = ops.cast(step, "float32")
        done = ops.clip((step - self.warmup) / max(self.steps - self.warmup, 1), 0.0, 1.0)
        rise = ops.minimum((step + 1) / self.warmup, 1.0) if self.warmup else 1.0
        return self.start * rise * self._fall(done)

    def _fall(self, done: keras.KerasTensor) -> keras.KerasTensor:
        """1 at `done` = 0, the end at 1."""
        if self.kind == "cosine":
            return 0.5 * (1 + ops.cos(done * 3.141592653589793))
        if self.kind == "linear":
            return 1 - done
        if self.kind == "exponential":
            return ops.power(_EXPONENTIAL_END, done)
        return ops.ones_like(done)

    def get_config(self) -> dict[str, str | float | int]:
        return {"kind": self.kind, "start": self.start, "steps": self.steps, "warmup": self.warmup}
