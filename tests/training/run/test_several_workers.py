"""Two processes that train one network together have the loss of a single process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras

from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.datasets.formats import mnist
from spyglass_training.models import find_architecture
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.training import train

pytestmark = [pytest.mark.training, pytest.mark.slow]

DEADLINE_SECONDS = 200
WORDS = "--size 12 --epochs 2 --batch-size 32 --optimizer sgd --learning-rate 0.1 --seed 5"
OPTIONS = TrainingOptions(epochs=2, batch_size=32, optimizer="sgd", learning_rate=0.1, seed=5)


@pytest.fixture
def few_digits(digits_file: Path, tmp_path: Path) -> Path:
    # 360 training images after the validation part: the last batch is a short one.
    path = tmp_path / "few.npz"
    with np.load(digits_file) as arrays:
        np.savez(path, **{name: arrays[name][:400] for name in arrays})
    return path


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def start_worker(index: int, ports: list[int], data: Path, folder: Path) -> subprocess.Popen[str]:
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
    command = [sys.executable, "-m", "spyglass_cli", "train", "small-resnet", "--color", "grey"]
    return subprocess.Popen(
        [*command, "--data", str(data), "--out", str(folder), *WORDS.split()],
        env={**os.environ, "TF_CONFIG": config},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_workers_have_the_losses_and_weights_of_one(few_digits: Path, tmp_path: Path) -> None:
    ports = free_ports(2)
    workers = [start_worker(index, ports, few_digits, tmp_path / "two") for index in (0, 1)]
    try:
        outputs = [worker.communicate(timeout=DEADLINE_SECONDS)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    architecture = find_architecture("small-resnet").with_input((12, 12), "grey")
    data = mnist.load(few_digits, architecture.input)
    one = train(architecture, data, OPTIONS, RunFolder(tmp_path / "one"))
    two = RunFolder(tmp_path / "two").read_record()
    for found, expected in zip(two.epochs, one.epochs, strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert two.metrics == pytest.approx(one.metrics, rel=1e-3, abs=1e-3)
    models = (keras.models.load_model(tmp_path / name / "model.keras") for name in ("two", "one"))
    for found, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)
