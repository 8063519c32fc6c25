"""The output of a run: a line for each epoch, and bars with the time left on a terminal."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from rich.console import Console

from spyglass_training.run.progress import ProgressBar

pytestmark = pytest.mark.training


def shown(*, terminal: bool) -> str:
    """Return the output of two epochs of three steps."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, highlight=False, soft_wrap=True)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.zeros((12, 1), np.float32)
    bar = ProgressBar(2, console)
    model.fit(x, x, batch_size=4, epochs=2, validation_data=(x, x), callbacks=[bar], verbose=0)
    return out.getvalue()


def test_without_a_terminal_the_output_is_one_line_for_each_epoch() -> None:
    figures = r"loss \d\.\d{4}  mae \d\.\d{4}  val_loss \d\.\d{4}  val_mae \d\.\d{4}"
    lines = shown(terminal=False).splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, start=1):
        assert re.fullmatch(rf"epoch {number}/2  {figures}  \d+ s", line)


def test_on_a_terminal_bars_count_the_steps_and_show_the_time_left() -> None:
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown(terminal=True))
    assert "epoch 1 of 2" in drawn and "epoch 2 of 2" in drawn
    assert re.search(r"\d/3 .*(\d:\d\d:\d\d|-:--:--)", drawn)
    # A bar for all epochs.
    assert re.search(r"all epochs .*\d/6 .*(\d:\d\d:\d\d|-:--:--)", drawn)
    assert "epoch 2/2  loss" in drawn
