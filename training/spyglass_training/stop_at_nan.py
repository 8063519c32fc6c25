"""A loss that is no number any more will not become one again."""

from __future__ import annotations

import math
from typing import Any

import keras

from spyglass_contract.errors import InvalidInput


class StopAtNaN(keras.callbacks.Callback):
    """Raises InvalidInput after the first batch whose loss is not finite: the weights are lost by then."""

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise InvalidInput(
                f"the loss became {loss} in epoch {self._epoch + 1}, step {batch + 1}; try a lower learning "
                "rate, or a warm-up",
                reason="LOSS_NOT_FINITE",
                field="learning_rate",
            )
