"""The epochs of a run: phase by phase, from the start or from a backup."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.datasets.dataset import Split
from spyglass_training.models import Architecture
from spyglass_training.run.backup import Backup
from spyglass_training.run.batches import Batches, balanced_weights
from spyglass_training.run.cached_features import Features, cut, mirrored
from spyglass_training.run.callbacks import EndOfEpoch, StopAtNaN, is_exhausted
from spyglass_training.run.epoch_log import EpochLog
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.phases import Phase, begin_phase, plan_phases

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitting:
    """The state that all phases of a run share."""

    # The network, and the part of it that is fitted: all of it, unless features are cached.
    whole: keras.Model
    fitted: keras.Model
    training: Batches
    validation: Batches
    options: TrainingOptions
    folder: RunFolder
    log: EpochLog
    # Facts that must be equal in a backup of this run.
    plan: Mapping[str, Any]
    watchers: Sequence[keras.callbacks.Callback] = ()


def prepare(
    architecture: Architecture,
    model: keras.Model,
    parts: tuple[Split, Split],
    options: TrainingOptions,
    cache: Path | None = None,
) -> tuple[keras.Model, Batches, Batches]:
    """Return the part of `model` to fit, and the batches of the training and the validation part.

    If the network has layers that do not learn, only the layers after them are fitted, on features that the
    folder `cache` keeps. All of `model` is fitted if it has no such layers or if memory cannot hold the
    features.
    """
    training, validation = parts
    fitted, inputs, checked = model, [training.pixels], validation.pixels
    if architecture.is_cached:
        base, learning = cut(model, architecture.cached_layer)
        features = Features(base, options.batch_size, cache)
        frames = list(mirrored(training.pixels)) if architecture.is_mirrored else inputs
        if features.fit_in_memory(len(frames) * len(training) + len(validation)):
            fitted, inputs, checked = learning, [features.of(each) for each in frames], features.of(checked)
        else:
            log.warning("the features of all images do not fit in memory: every epoch computes them again")
    weights = None
    if options.class_weights == "balanced":
        weights = balanced_weights(training.labels, max(model.output_shape[-1], 2))
    batch_size = options.batch_size
    return (
        fitted,
        Batches(inputs, training.labels, batch_size, seed=options.seed, class_weights=weights),
        Batches([checked], validation.labels, batch_size),
    )


def fit(fitting: Fitting, architecture: Architecture, backup: Backup | None) -> None:
    """Train through all phases, from `backup` on if there is one."""
    for phase in plan_phases(architecture, fitting.options):
        begun_later = any(epoch.phase > phase.number for epoch in fitting.log.epochs)
        if begun_later or is_exhausted(fitting.log, phase, fitting.options):
            continue
        begin_phase(fitting.fitted, phase, fitting.options, len(fitting.training))
        if backup is not None:
            backup.restore(fitting.fitted, phase.number)
            backup = None
        _fit_phase(fitting, phase)


def _fit_phase(fitting: Fitting, phase: Phase) -> None:
    done, done_in_phase = len(fitting.log.epochs), len(fitting.log.of_phase(phase.number))
    end_of_epoch = EndOfEpoch(
        fitting.whole, phase, fitting.options, fitting.log, fitting.folder, fitting.plan
    )
    in_order = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: fitting.training.begin(epoch))
    fitting.fitted.fit(
        fitting.training,
        validation_data=fitting.validation,
        initial_epoch=done,
        epochs=done + phase.epochs - done_in_phase,
        # `Batches` shuffles. Keras would shuffle by a generator whose state is not in the backup.
        shuffle=False,
        callbacks=[in_order, StopAtNaN(), end_of_epoch, *fitting.watchers],
        verbose=0,
    )


def plan_of(architecture: Architecture, options: TrainingOptions, data_sha256: str) -> dict[str, Any]:
    """Return the facts on which a run's numbers depend, as plain JSON."""
    return {
        "architecture": architecture.name,
        "height": architecture.input.height,
        "width": architecture.input.width,
        "color_mode": architecture.input.color_mode,
        "data": data_sha256,
        **architecture.choices,
        **dataclasses.asdict(options),
    }
