"""The phases of a training run: what learns, how long and how fast."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from spyglass_training.models import Architecture
from spyglass_training.options import TrainingOptions
from spyglass_training.schedules import Schedule


@dataclass(frozen=True)
class Phase:
    """Epochs between which nothing changes but the weights."""

    number: int
    epochs: int
    learning_rate: float
    schedule: str
    warmup_epochs: float = 0.0
    # Layers that learn beside those that do anyway.
    unfrozen: tuple[str, ...] = ()


def plan_phases(architecture: Architecture, options: TrainingOptions) -> tuple[Phase, ...]:
    """One phase, and a second at a low learning rate where the network has layers to fine-tune."""
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
    """Lets loose what learns in this phase, and compiles with an optimiser of its own."""
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
