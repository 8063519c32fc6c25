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
from spyglass_training.datasets.dataset import Dataset
from spyglass_training.golden import RECIPES, write_golden
from spyglass_training.models import Architecture
from spyglass_training.report.curves import draw_curves
from spyglass_training.report.evaluation import evaluate
from spyglass_training.report.report import write_report
from spyglass_training.run.backup import Backup, read_backup
from spyglass_training.run.distribution import distributed, is_chief
from spyglass_training.run.epoch_log import EpochLog
from spyglass_training.run.fitting import Fitting, fit, plan_of, prepare
from spyglass_training.run.fused_batch_norm import fuse_batch_norm
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.starting import check_start
from spyglass_training.run.versions import library_versions, now
from spyglass_training.weights.keras_file import load_keras

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
    """Train a network, evaluate the kept epoch once on the test part, and fill the run folder.

    On the CPU of one machine the same options give the same weights. With `resume` a killed run continues
    after its last complete epoch, and gives the same numbers as an uninterrupted run. `watchers` are further
    Keras callbacks. `cache` is a folder that keeps the features of layers that do not learn, for other runs.
    If a run ends before its first complete epoch, its folder stays empty except for TensorBoard's files.

    Raises the errors of `check_start`. Raises InvalidInput if a run to resume has other options or damaged
    files, and if the loss is NaN or infinite.
    """
    started = time.monotonic()
    if architecture.task != dataset.task:
        raise InvalidInput(
            f"the network {architecture.name} is for another task than the data set {dataset.record.name}",
            field="data",
        )
    check_start(options, folder, resume=resume)
    with _folder_of_this_worker(folder) as own:
        watchers = [*watchers, *_tensorboard(options, own)]
        log = _fit(architecture, dataset, options, own, watchers, cache)
        return _finish(architecture, dataset, options, own, log, started)


def make_deterministic(seed: int) -> None:
    """Fix the seeds of Python, numpy and Keras's backend, and the order of floating-point sums."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


@contextmanager
def _folder_of_this_worker(folder: RunFolder) -> Iterator[RunFolder]:
    """Yield the run's folder to the chief, and a temporary one to other workers."""
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
    """Train, write the kept network into the folder, and return the log of the epochs."""
    plan = plan_of(architecture, options, dataset.record.sha256)
    backup = read_backup(folder.backup)
    log = _log(folder, options, plan, backup)
    parts = dataset.train_and_validation(options.validation_share, options.seed)
    if not all(len(part) for part in parts):
        raise InvalidInput(
            "too few images for a validation part; use more images or a larger --validation-share",
            field="validation_share",
        )
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
    """Return the log of the finished epochs. Raises InvalidInput if the run cannot be resumed."""
    log = EpochLog(folder.epochs, options.monitor)
    if backup is not None:
        backup.check(plan)
        if not folder.model.is_file():
            raise InvalidInput(f"{folder.model} is missing; the run cannot be resumed", field="resume")
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
    """Evaluate and describe the kept network; replace files that an earlier attempt left."""
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
        left_out=dataset.left_out,
        data_warnings=dataset.warnings,
    )
    write_report(record, evaluation, dataset.test, folder)
    folder.write_record(record)
    folder.backup.unlink(missing_ok=True)
    return record


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    """Round to six decimals: Keras computes metrics in float32, so further digits are noise."""
    return {name: round(float(value), 6) for name, value in metrics.items()}
