"""A training run: from an architecture and a data set to a run folder."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.run_folder import RunFolder, RunRecord
from spyglass_training.backup import Backup, read_backup
from spyglass_training.curves import draw_curves
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.distribution import distributed, is_chief
from spyglass_training.epoch_log import EpochLog, Metrics
from spyglass_training.evaluation import evaluate
from spyglass_training.fitting import Fitting, fit, plan_of, prepare
from spyglass_training.fused_batch_norm import fuse_batch_norm
from spyglass_training.golden import RECIPES, write_golden
from spyglass_training.keras_file import load_keras
from spyglass_training.models import Architecture
from spyglass_training.options import TrainingOptions
from spyglass_training.report import write_report
from spyglass_training.run_record import library_versions, now
from spyglass_training.starting import check_start

__all__ = ["TrainingOptions", "make_deterministic", "train"]


def train(
    architecture: Architecture,
    dataset: Dataset,
    options: TrainingOptions,
    folder: RunFolder,
    *,
    resume: bool = False,
    watchers: Sequence[keras.callbacks.Callback] = (),
    cache: Path | None = None,
) -> RunRecord:
    """Trains, measures the epoch that is kept once on the test part, and fills the run folder.

    On one machine's CPU the same options give the same weights. With `resume` a run that was killed goes on
    after its last whole epoch, with the numbers that it would have had; `watchers` are callbacks that look
    on; under `cache` the features of layers that do not learn are kept for other runs. A run that ends
    before its first whole epoch leaves its folder empty, but for what TensorBoard has.
    Raises what `check_start` raises, and InvalidInput to resume where the run was begun with other options or
    its files are damaged, and where the loss is no number any more.
    """
    started = time.monotonic()
    if architecture.task != dataset.task:
        raise InvalidInput(
            f"{architecture.name} is for another task than {dataset.record.name}", field="data"
        )
    check_start(options, folder, resume=resume)
    with _folder_of_this_worker(folder) as own:
        watchers = [*watchers, *_tensorboard(options, own)]
        log = _fit(architecture, dataset, options, own, watchers, cache)
        return _finish(architecture, dataset, options, own, log, started)


def make_deterministic(seed: int) -> None:
    """Fixes the seeds of Python, numpy and Keras's backend, and the order in which it adds up."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


@contextmanager
def _folder_of_this_worker(folder: RunFolder) -> Iterator[RunFolder]:
    """The run's folder for the chief; for the other workers one that is thrown away."""
    if is_chief():
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield RunFolder(Path(temporary) / "run")


def _tensorboard(options: TrainingOptions, folder: RunFolder) -> list[keras.callbacks.Callback]:
    return [keras.callbacks.TensorBoard(folder.tensorboard, profile_batch=0)] if options.tensorboard else []


def _fit(
    architecture: Architecture,
    dataset: Dataset,
    options: TrainingOptions,
    folder: RunFolder,
    watchers: Sequence[keras.callbacks.Callback],
    cache: Path | None,
) -> EpochLog:
    """Trains; leaves the network that is kept in the folder, and returns what came of each epoch."""
    plan = plan_of(architecture, options, dataset.record.sha256)
    backup = read_backup(folder.backup)
    log = _log(folder, options, plan, backup)
    parts = dataset.train_and_validation(options.validation_share, options.seed)
    if not all(len(part) for part in parts):
        raise InvalidInput("there are too few images for a validation part", field="validation_share")
    make_deterministic(options.seed)
    with distributed(), _precision(options.precision):
        model = architecture.build(architecture.input, len(dataset.class_names))
        fuse_batch_norm(model)
        fitted, training, validation = prepare(architecture, model, parts, options, cache)
        folder.path.mkdir(parents=True, exist_ok=True)
        fit(
            Fitting(model, fitted, training, validation, options, folder, log, plan, watchers),
            architecture,
            backup,
        )
    return log


def _log(
    folder: RunFolder, options: TrainingOptions, plan: Mapping[str, Any], backup: Backup | None
) -> EpochLog:
    """The epochs that are done. Raises InvalidInput where what is in the folder cannot be gone on with."""
    log = EpochLog(folder.epochs, options.monitor)
    if backup is not None:
        backup.check(plan)
        if not folder.model.is_file():
            raise InvalidInput(f"{folder.model} is gone; the run cannot go on", field="resume")
    log.read(backup.epochs if backup else 0)
    return log


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _finish(
    architecture: Architecture,
    dataset: Dataset,
    options: TrainingOptions,
    folder: RunFolder,
    log: EpochLog,
    started: float,
) -> RunRecord:
    """Measures and describes the network that was kept; whatever of it is already there is replaced."""
    kept = load_keras(folder.model)
    evaluation = evaluate(kept, dataset.test, dataset.class_names, options.batch_size)
    epochs = tuple(_rounded(epoch.metrics) for epoch in log.epochs)
    draw_curves(epochs, folder.curves)
    write_golden(list(dataset.test.pixels[: len(RECIPES)]), architecture.input, folder.golden)
    record = RunRecord(
        architecture=architecture.name,
        description=f"{architecture.summary} Trained on {dataset.record.name}.",
        parameters=kept.count_params(),
        input=architecture.input,
        class_names=dataset.class_names,
        data=dataset.record,
        options={**dataclasses.asdict(options), **architecture.choices},
        library_versions=library_versions(),
        epochs=epochs,
        metrics=_rounded(evaluation.metrics),
        created=now(),
        seconds=round(time.monotonic() - started, 1),
        task=architecture.task,
    )
    write_report(record, evaluation, dataset.test, folder)
    folder.write_record(record)
    folder.backup.unlink(missing_ok=True)
    return record


def _rounded(metrics: Metrics) -> Metrics:
    """To six decimals: Keras computes them in float32, and further digits say nothing."""
    return {name: round(float(value), 6) for name, value in metrics.items()}
