"""The script that repeats the book's runs: every network of it, on a few real digits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spyglass_contract.run_folder import RunFolder

pytest.importorskip("tensorflow")

pytestmark = [pytest.mark.training, pytest.mark.slow]

NETWORKS = {
    "lenet5",
    "mnist-convnet",
    "mnist-convnet-functional",
    "mnist-convnet-no-pooling",
    "simple-cnn",
}


def test_every_network_of_the_book_is_trained(
    digits_file: Path, tmp_path: Path, repository_root: Path
) -> None:
    subprocess.run(
        [repository_root / "runs/book.sh", digits_file, tmp_path / "runs", "--epochs", "1"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        check=True,
    )
    assert {folder.name for folder in (tmp_path / "runs").iterdir()} == NETWORKS
    for name in NETWORKS:
        record = RunFolder(tmp_path / "runs" / name).read_record()
        assert record.metrics["test_accuracy"] > 0.6
