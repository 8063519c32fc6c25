"""The phases of a training run: layers that learn, epochs and learning rates."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from spyglass_training.models import Architecture
from spyglass_training.run.options import TrainingOptions

# An exponential schedule ends at this fraction of its start.
_EXPONENTIAL_END = 0.01


@dataclass(frozen=True)
class Phase:
    """Epochs in which the same layers learn by one schedule."""

    number: int
    epochs: int
    learning_rate: float
    schedule: str
    warmup_epochs: float = 0.0
    # Layers that start to learn in this phase.
    unfrozen: tuple[str, ...] = ()


def plan_phases(architecture: Architecture, options: TrainingOptions) -> tuple[Phase, ...]:
    """Return one phase, and a second at a low learning rate if the network has layers to fine-tune."""
    first = Phase(0, options.epochs, options.learning_rate, options.schedule, options.warmup_epochs)
    if not (architecture.fine_tuned_layers and options.fine_tune_epochs):
        return (first,)
    second = Phase(
        1,
        options.fine_tune_epochs,
        options.fine_tune_learning_rate,
        options.fine_tune_schedule,
        unfrozen=architecture.fine_tuned_layers,
    )
    return first, second


def begin_phase(model: keras.Model, phase: Phase, options: TrainingOptions, steps_per_epoch: int) -> None:
    """Make the layers of this phase trainable, and compile the model with a new optimiser."""
    for name in phase.unfrozen:
        model.get_layer(name).trainable = True
    schedule = Schedule(
        phase.schedule,
        phase.learning_rate,
        steps=phase.epochs * steps_per_epoch,
        warmup=round(phase.warmup_epochs * steps_per_epoch),
    )
    optimizer = {"class_name": options.optimizer, "config": {"learning_rate": schedule}}
    one_output = model.output_shape[-1] == 1
    model.compile(
        optimizer=keras.optimizers.get(optimizer),
        loss="binary_crossentropy" if one_output else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)


@keras.saving.register_keras_serializable("spyglass")
class Schedule(LearningRateSchedule):
    """A learning rate that rises from zero over `warmup` steps, then falls from `start`.

    It falls over the rest of `steps`. `kind` is `constant`; `linear` or `cosine`, which fall to zero; or
    `exponential`, which falls to a hundredth.
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
        """Return the factor at progress `done`: 1 at 0, the final factor at 1."""
        if self.kind == "cosine":
            return 0.5 * (1 + ops.cos(done * 3.141592653589793))
        if self.kind == "linear":
            return 1 - done
        if self.kind == "exponential":
            return ops.power(_EXPONENTIAL_END, done)
        return ops.ones_like(done)

    def get_config(self) -> dict[str, str | float | int]:
        return {"kind": self.kind, "start": self.start, "steps": self.steps, "warmup": self.warmup}
