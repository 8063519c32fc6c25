"""The options of a training run, for any network."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_contract.errors import InvalidInput

SCHEDULES = ("constant", "cosine", "exponential", "linear")
PRECISIONS = ("float32", "mixed_bfloat16")
MONITORS = ("val_accuracy", "val_loss")
KEPT = ("best", "last")
CLASS_WEIGHTS = ("none", "balanced")

_ALLOWED = {
    "schedule": SCHEDULES,
    "fine_tune_schedule": SCHEDULES,
    "monitor": MONITORS,
    "keep": KEPT,
    "class_weights": CLASS_WEIGHTS,
    "precision": PRECISIONS,
}


@dataclass(frozen=True)
class TrainingOptions:
    """The options of a training run. An unknown value of a fixed choice raises InvalidInput."""

    epochs: int = 8
    batch_size: int = 64
    # Name of any optimiser of Keras: adam, rmsprop, sgd, …
    optimizer: str = "adam"
    # Initial learning rate, after the warm-up, and the schedule by which it falls until the end of the last
    # epoch.
    learning_rate: float = 0.001
    schedule: str = "cosine"
    # Epochs, or fractions of one, in which the learning rate rises from zero.
    warmup_epochs: float = 0.0
    # Fraction (0 to 1) of the training part to validate with, if the data set has no validation part.
    validation_share: float = 0.1
    # Metric that compares epochs, and the epoch to keep: the best one by this metric, or the last one.
    monitor: str = "val_accuracy"
    keep: str = "best"
    # Stop training after this many epochs without a better one; 0: never stop early.
    patience: int = 0
    # `balanced` gives images of rarer classes a greater weight.
    class_weights: str = "none"
    # Precision of the layers' arithmetic; weights are float32 in both cases.
    precision: str = "float32"
    # A second phase, with its own schedule, for networks with layers to fine-tune.
    fine_tune_epochs: int = 8
    fine_tune_learning_rate: float = 1e-5
    fine_tune_schedule: str = "constant"
    # Write files for TensorBoard.
    tensorboard: bool = False
    # Seed of the first weights, the order of the images and the validation part.
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InvalidInput(f"{name} must be one of {', '.join(allowed)}, not {value!r}", field=name)
