"""A training run: from an architecture and a data set to a run folder."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path

import keras

from spyglass_contract.run_folder import RunFolder, RunRecord
from spyglass_training.curves import draw_curves
from spyglass_training.datasets.dataset import Dataset, Split, hold_out
from spyglass_training.golden import RECIPES, write_golden
from spyglass_training.models import Architecture
from spyglass_training.run_record import library_versions, now

# Metrics by name: loss and accuracy, and with `val_` those of the validation part.
Metrics = dict[str, float]


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained."""

    epochs: int = 8
    batch_size: int = 64
    # Any optimiser of Keras by its name: adam, rmsprop, sgd, …
    optimizer: str = "adam"
    # Where it starts; it falls along half a cosine, to zero at the end of the last epoch.
    learning_rate: float = 0.001
    # Of the training part, in 0 to 1; the epoch that does best on it is kept.
    validation_share: float = 0.1
    # Of the first weights, the order of the pictures and the validation part.
    seed: int = 0


def train(
    architecture: Architecture, dataset: Dataset, options: TrainingOptions, folder: RunFolder
) -> RunRecord:
    """Trains, keeps the best epoch, measures it once on the test part, and fills the run folder.

    On one machine's CPU the same options give the same weights. Raises InvalidInput where the folder is not
    empty.
    """
    started = time.monotonic()
    folder.create()
    make_deterministic(options.seed)
    epochs = _fit(architecture, dataset, options, folder.model)
    best = keras.models.load_model(folder.model)
    draw_curves(epochs, folder.curves)
    write_golden(list(dataset.test.pixels[: len(RECIPES)]), architecture.input, folder.golden)
    record = RunRecord(
        architecture=architecture.name,
        description=f"{architecture.summary} Trained on {dataset.record.name}.",
        parameters=best.count_params(),
        input=architecture.input,
        class_names=dataset.class_names,
        data=dataset.record,
        options=dataclasses.asdict(options),
        library_versions=library_versions(),
        epochs=epochs,
        metrics=_measure(best, dataset.test, options.batch_size),
        created=now(),
        seconds=round(time.monotonic() - started, 1),
    )
    folder.write_record(record)
    return record


def make_deterministic(seed: int) -> None:
    """Fixes the seeds of Python, numpy and Keras's backend, and the order in which it adds up."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def _fit(
    architecture: Architecture, dataset: Dataset, options: TrainingOptions, best: Path
) -> tuple[Metrics, ...]:
    """Trains; writes the network of the best epoch to `best` and returns the metrics of every one."""
    training, validation = hold_out(dataset.train, options.validation_share, options.seed)
    model = architecture.build(architecture.input, len(dataset.class_names))
    _compile(model, options, steps=math.ceil(len(training) / options.batch_size) * options.epochs)
    keep_best = keras.callbacks.ModelCheckpoint(best, monitor="val_accuracy", mode="max", save_best_only=True)
    history = model.fit(
        training.pixels,
        training.labels,
        validation_data=(validation.pixels, validation.labels),
        epochs=options.epochs,
        batch_size=options.batch_size,
        callbacks=[keep_best],
    ).history
    return tuple(
        _rounded({name: history[name][epoch] for name in history}) for epoch in range(options.epochs)
    )


def _compile(model: keras.Model, options: TrainingOptions, *, steps: int) -> None:
    """Makes the network ready for `steps` batches."""
    schedule = keras.optimizers.schedules.CosineDecay(options.learning_rate, steps)
    optimizer = {"class_name": options.optimizer, "config": {"learning_rate": schedule}}
    model.compile(
        optimizer=keras.optimizers.get(optimizer),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def _measure(model: keras.Model, test: Split, batch_size: int) -> Metrics:
    figures = model.evaluate(test.pixels, test.labels, batch_size=batch_size, verbose=0, return_dict=True)
    return _rounded({f"test_{name}": value for name, value in figures.items()})


def _rounded(metrics: Metrics) -> Metrics:
    """To six decimals: Keras computes them in float32, and further digits say nothing."""
    return {name: round(float(value), 6) for name, value in metrics.items()}
