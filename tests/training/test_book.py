"""The scripts that repeat the runs of docs/training.md; the book's run on a few digits."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spyglass_cli.commands import train as train_command
from spyglass_contract.model.run_folder import RunFolder

pytest.importorskip("tensorflow")

from spyglass_training.models import find_architecture

pytestmark = pytest.mark.training

NETWORKS = {
    "lenet5",
    "mnist-convnet",
    "mnist-convnet-functional",
    "mnist-convnet-no-pooling",
    "simple-cnn",
}


@pytest.mark.slow
def test_the_script_trains_every_network_of_the_book(
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


# Replaces the command: writes its arguments as the shell would read them again.
NOTING = '#!/usr/bin/env bash\nprintf \'%s\\n\' "$*" >> "$(dirname "$0")/calls"\n'


def test_the_script_skips_finished_runs_and_resumes_interrupted_ones(
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


# Replaces the command: writes a record into the folder after --out, and its arguments.
RECORDING = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$(dirname "$0")/calls"
while [[ $1 != --out ]]; do shift; done
mkdir -p "$2"
printf '{"metrics": {"test_accuracy": 0.8%s}}' "${2: -1}" > "$2/run.json"
"""


def test_the_script_trains_solar_cells_with_three_seeds_and_prints_the_mean(
    tmp_path: Path, repository_root: Path
) -> None:
    (tmp_path / "spyglass").write_text(RECORDING)
    (tmp_path / "spyglass").chmod(0o755)
    done = subprocess.run(
        [repository_root / "runs/elpv.sh", tmp_path / "runs", "--epochs", "1"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert [line.partition(":")[::2] for line in done.stdout.splitlines()] == [
        (recipe, " 81.00 % ± 1.00 (80.00, 81.00, 82.00)")
        for recipe in ("from-scratch", "augmented", "mini-xception", "frozen-features", "fine-tuned")
    ]
    calls = (tmp_path / "calls").read_text().splitlines()
    parser = argparse.ArgumentParser()
    train_command.add_parser(parser.add_subparsers())
    seeds: dict[str, list[int]] = {}
    for call in calls:
        # The command accepts all arguments, and the script's own arguments come last.
        arguments = parser.parse_args(call.split())
        assert (arguments.data, arguments.epochs) == ("elpv", 1)
        find_architecture(arguments.architecture).for_run(
            **{name: value for name, value in vars(arguments).items() if name in ("augment", "weights")}
        )
        seeds.setdefault(Path(arguments.out).name[:-2], []).append(arguments.seed)
    assert len(seeds) == 5 and set(map(tuple, seeds.values())) == {(0, 1, 2)}
