"""A killed run continues after its last complete epoch, with the numbers of an uninterrupted run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras

from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.run_folder import RunFolder, RunRecord
from spyglass_training.datasets.formats import mnist
from spyglass_training.models import Architecture, find_architecture
from spyglass_training.run.backup import read_backup
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.training import train

pytestmark = [pytest.mark.training, pytest.mark.slow]

DEADLINE_SECONDS = 120
OPTIONS = TrainingOptions(epochs=4, batch_size=16, optimizer="rmsprop", seed=3, warmup_epochs=0.5)


@pytest.fixture(scope="module")
def few_digits(digits_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "few.npz"
    with np.load(digits_file) as arrays:
        np.savez(path, **{name: arrays[name][:300] for name in arrays})
    return path


def architecture() -> Architecture:
    """A network with further state: random generators, an optimiser, a warm-up."""
    return find_architecture("small-resnet").with_input((16, 16), "grey").with_choices(augment="photograph")


def run(data: Path, folder: Path, options: TrainingOptions = OPTIONS, **more: Any) -> RunRecord:
    chosen = architecture()
    return train(chosen, mnist.load(data, chosen.input), options, RunFolder(folder), **more)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start_and_kill(data: Path, folder: Path, epochs: int) -> None:
    """Start the command, and kill it in the epoch after `epochs` complete ones."""
    words = f"train small-resnet --data {data} --out {folder} --size 16 --color grey --epochs 4"
    words += " --augment photograph --batch-size 16 --optimizer rmsprop --seed 3 --warmup-epochs 0.5"
    command = [sys.executable, "-m", "spyglass_cli", *words.split()]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:

        def has_reached_epoch() -> bool:
            assert process.poll() is None, "the command ended early"
            backup = read_backup(folder / "backup.npz")
            return backup is not None and backup.epochs >= epochs

        wait_until(has_reached_epoch)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def epochs_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def test_a_resumed_run_has_the_numbers_and_weights_of_an_uninterrupted_run(
    few_digits: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start_and_kill(few_digits, killed, epochs=2)
    assert not (killed / "run.json").exists()
    with pytest.raises(InvalidInput, match=r"not empty.*--resume"):
        run(few_digits, killed)
    # A line that is not in the backup: the run was killed between the two.
    with (killed / "epochs.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"number": 3, "half a line')
    resumed, uninterrupted = run(few_digits, killed, resume=True), run(few_digits, whole)
    assert len(epochs_of(killed)) == 4 and epochs_of(killed) == epochs_of(whole)
    assert resumed.metrics == uninterrupted.metrics and resumed.epochs == uninterrupted.epochs
    of_both = (keras.models.load_model(folder / "model.keras").get_weights() for folder in (killed, whole))
    for found, expected in zip(*of_both, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not (killed / "backup.npz").exists()


def test_a_run_is_resumed_only_with_its_own_options_and_only_if_it_is_not_finished(
    few_digits: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="interrupted"):
        run(few_digits, tmp_path / "run", watchers=[Interruption(epochs=1)])
    other = TrainingOptions(epochs=4, batch_size=32, optimizer="rmsprop", seed=3, warmup_epochs=0.5)
    with pytest.raises(InvalidInput, match="started with batch_size 16, not 32"):
        run(few_digits, tmp_path / "run", other, resume=True)
    run(few_digits, tmp_path / "run", resume=True)
    with pytest.raises(InvalidInput, match="finished"):
        run(few_digits, tmp_path / "run", resume=True)


def test_resuming_a_run_without_a_complete_epoch_starts_it_again(few_digits: Path, tmp_path: Path) -> None:
    options = TrainingOptions(epochs=1, batch_size=64)
    assert len(run(few_digits, tmp_path / "run", options, resume=True).epochs) == 1


def test_a_file_that_is_not_a_backup_is_rejected(few_digits: Path, tmp_path: Path) -> None:
    (tmp_path / "backup.npz").write_bytes(b"half of a backup")
    with pytest.raises(InvalidInput, match="not the backup of a run"):
        run(few_digits, tmp_path, resume=True)


class Interruption(keras.callbacks.Callback):
    """Raises in the middle of the epoch after `epochs` complete ones."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs, self._epoch = epochs, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self._epoch, batch) == (self._epochs, 2):
            raise RuntimeError("interrupted")
