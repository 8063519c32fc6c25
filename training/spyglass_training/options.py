"""How a network is trained: what a caller may choose, whatever the network."""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULES = ("constant", "cosine", "exponential", "linear")
PRECISIONS = ("float32", "mixed_bfloat16")
MONITORS = ("val_accuracy", "val_loss")
KEPT = ("best", "last")
CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained."""

    epochs: int = 8
    batch_size: int = 64
    # Any optimiser of Keras by its name: adam, rmsprop, sgd, …
    optimizer: str = "adam"
    # Where it starts after the warm-up, and how it falls from there to the end of the last epoch.
    learning_rate: float = 0.001
    schedule: str = "cosine"
    # Epochs, or parts of one, in which the learning rate rises from zero.
    warmup_epochs: float = 0.0
    # Of the training part, in 0 to 1, where the data set has no validation part of its own.
    validation_share: float = 0.1
    # What epochs are compared by, and which of them is kept: the best by it, or the last.
    monitor: str = "val_accuracy"
    keep: str = "best"
    # Epochs without a better one after which training stops; 0: it goes on to the end.
    patience: int = 0
    # `balanced`: an image counts the more the rarer its class is.
    class_weights: str = "none"
    # Of the layers' arithmetic; weights are float32 in any case.
    precision: str = "float32"
    # A second phase, for networks with layers that are to be fine-tuned, with a schedule of its own.
    fine_tune_epochs: int = 8
    fine_tune_learning_rate: float = 1e-5
    fine_tune_schedule: str = "constant"
    # Writes what TensorBoard shows.
    tensorboard: bool = False
    # Of the first weights, the order of the images and the validation part.
    seed: int = 0
