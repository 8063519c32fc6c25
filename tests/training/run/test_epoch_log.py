"""The log of epochs in memory and in its file."""

from __future__ import annotations

import json
from pathlib import Path

from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.run.epoch_log import Epoch, EpochLog


def epoch(number: int, loss: float, accuracy: float, phase: int = 0) -> Epoch:
    return Epoch(number, phase, {"val_loss": loss, "val_accuracy": accuracy}, 0.001, 1.5)


def test_the_best_epoch_is_the_one_with_the_best_monitored_metric(tmp_path: Path) -> None:
    by_loss, by_accuracy = (EpochLog(tmp_path / name, f"val_{name}") for name in ("loss", "accuracy"))
    best = []
    for each in (epoch(1, 0.5, 0.7), epoch(2, 0.4, 0.6), epoch(3, 0.4, 0.8), epoch(4, 0.6, 0.7, phase=1)):
        for log in (by_loss, by_accuracy):
            log.append(each)
        best.append((by_loss.newest_is_best(), by_accuracy.newest_is_best()))
    # Of two equal epochs the earlier one is the best.
    assert best == [(True, True), (True, False), (False, True), (False, False)]
    assert (by_loss.epochs_without_better(0), by_accuracy.epochs_without_better(0)) == (1, 0)
    assert by_loss.epochs_without_better(1) == 0 and by_loss.epochs_without_better(2) == 0


def test_the_file_has_a_line_for_each_epoch_and_a_resumed_run_removes_later_ones(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    log = EpochLog(folder.epochs, "val_loss")
    for number in (1, 2, 3):
        log.append(epoch(number, 1 / number, 0.1 * number))
    assert [json.loads(line)["number"] for line in folder.epochs.read_text().splitlines()] == [1, 2, 3]
    again = EpochLog(folder.epochs, "val_loss")
    again.read(2)
    assert again.epochs == log.epochs[:2]
    assert len(folder.epochs.read_text().splitlines()) == 2
