"""What happens after every epoch: a line in the log, the best network kept, the state backed up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras

from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.backup import write_backup
from spyglass_training.epoch_log import Epoch, EpochLog
from spyglass_training.options import TrainingOptions
from spyglass_training.phases import Phase
from spyglass_training.whole_files import replacing


class EndOfEpoch(keras.callbacks.Callback):
    """Logs, keeps and backs up, in this order: a run that is killed in between repeats the epoch."""

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
        # What is kept: the network that is fitted, or the one that it is a part of.
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
            with replacing(self._folder.model) as temporary:
                self._whole.save(temporary)
        write_backup(self._folder.backup, self.model, epoch + 1, self._phase.number, self._plan)
        if is_exhausted(self._log, self._phase, self._options):
            self.model.stop_training = True


def is_exhausted(log: EpochLog, phase: Phase, options: TrainingOptions) -> bool:
    """Whether `phase` has had all its epochs, or too many since its best one."""
    if len(log.of_phase(phase.number)) >= phase.epochs:
        return True
    return 0 < options.patience <= log.epochs_without_better(phase.number)
