"""The script that repeats the book's runs: every network of it, on a few real digits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spyglass_contract.run_folder import RunFolder

pytest.importorskip("tensorflow")

pytestmark = pytest.mark.training

NETWORKS = {
    "lenet5",
    "mnist-convnet",
    "mnist-convnet-functional",
    "mnist-convnet-no-pooling",
    "simple-cnn",
}


@pytest.mark.slow
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


# In the place of the command: says how it was called, as the shell would read it again.
NOTING = '#!/usr/bin/env bash\nprintf \'%s\\n\' "$*" >> "$(dirname "$0")/calls"\n'


def test_what_is_done_is_not_done_again_and_what_was_interrupted_goes_on(
    tmp_path: Path, repository_root: Path
) -> None:
    (tmp_path / "spyglass").write_text(NOTING)
    (tmp_path / "spyglass").chmod(0o755)
    runs = tmp_path / "runs"
    for name, file in (("lenet5", "run.json"), ("mnist-convnet", "backup.npz"), ("simple-cnn", "backup.npz")):
        (runs / name).mkdir(parents=True)
        (runs / name / file).touch()
    (runs / "simple-cnn/run.json").touch()
    done = subprocess.run(
        [repository_root / "runs/book.sh", "mnist.npz", runs],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[1] for call in calls] == [
        "mnist-convnet",
        "mnist-convnet-functional",
        "mnist-convnet-no-pooling",
    ]
    assert ["--resume" in call for call in calls] == [True, False, False]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["lenet5:", "simple-cnn:"]
