"""The callbacks of every run: log, keep and back up each epoch; stop at an invalid loss."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

from spyglass_contract.errors import InvalidInput
from spyglass_contract.files import whole_file
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.run.backup import write_backup
from spyglass_training.run.epoch_log import Epoch, EpochLog
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.phases import Phase


class EndOfEpoch(keras.callbacks.Callback):
    """Log the epoch, keep the network, back up the state, in this order.

    A run that is killed in between repeats the epoch.
    """

    def __init__(
        self,
        whole: keras.Model,
        phase: Phase,
        options: TrainingOptions,
        log: EpochLog,
        folder: RunFolder,
        plan: Mapping[str, Any],
    ) -> None:
        super().__init__()
        # The network to keep: the fitted one, or the one that it is a part of.
        self._whole = whole
        self._phase, self._options, self._log = phase, options, log
        self._folder, self._plan = folder, plan
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        rate, seconds = float(self.model.optimizer.learning_rate), time.monotonic() - self._started
        self._log.append(Epoch(epoch + 1, self._phase.number, metrics, rate, round(seconds, 2)))
        if self._options.keep == "last" or self._log.newest_is_best():
            with whole_file(self._folder.model) as temporary:
                self._whole.save(temporary)
        write_backup(self._folder.backup, self.model, epoch + 1, self._phase.number, self._plan)
        if is_exhausted(self._log, self._phase, self._options):
            self.model.stop_training = True


def is_exhausted(log: EpochLog, phase: Phase, options: TrainingOptions) -> bool:
    """Return whether `phase` has had all its epochs, or too many since its best one."""
    if len(log.of_phase(phase.number)) >= phase.epochs:
        return True
    return 0 < options.patience <= log.epochs_without_better(phase.number)


class StopAtNaN(keras.callbacks.Callback):
    """Raise InvalidInput after the first batch whose loss is NaN or infinite."""

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise InvalidInput(
                f"the loss became {loss} in epoch {self._epoch + 1}, step {batch + 1}; use a lower learning "
                "rate, or a warm-up",
                reason="LOSS_NOT_FINITE",
                field="learning_rate",
            )
