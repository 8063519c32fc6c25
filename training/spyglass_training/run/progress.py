"""The progress of a training run on a terminal: bars with the time left, and a line for each epoch."""

from __future__ import annotations

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar(keras.callbacks.Callback):
    """Bars for the present epoch and the run on a terminal; a line of metrics after each epoch.

    Without a terminal only the lines appear. `epochs` is the number of epochs of all phases; a run may stop
    earlier.
    """

    def __init__(self, epochs: int, console: Console | None = None) -> None:
        super().__init__()
        self._epochs = epochs
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._started = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.start()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.stop()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._started = time.monotonic()
        steps = self.params["steps"]
        if not self._bar.tasks:
            # Epochs before the run was resumed took no time now.
            self._first = epoch
            self._run = self._bar.add_task("all epochs", total=(self._epochs - epoch) * steps)
        self._task = self._bar.add_task(f"epoch {epoch + 1} of {self._epochs}", total=steps)
        self._done = (epoch - self._first) * steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.update(self._task, completed=batch + 1)
        self._bar.update(self._run, completed=self._done + batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.remove_task(self._task)
        figures = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        seconds = time.monotonic() - self._started
        self._console.print(f"epoch {epoch + 1}/{self._epochs}  {figures}  {seconds:.0f} s")
