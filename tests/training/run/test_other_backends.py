"""Keras's other backends build and train every network without TensorFlow."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.training, pytest.mark.slow]

# Keras's numpy backend uses JAX for Fourier transforms.
NEEDS_JAX = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")

WITHOUT_TENSORFLOW = """
import sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tf2onnx"):
            raise ImportError(f"{name} must not be imported")

sys.meta_path.insert(0, Refusal())
"""

# numpy computes no gradients, but builds and runs networks.
BUILD = """
import numpy as np
from spyglass_training.run import fitting
from spyglass_training.run import progress
from spyglass_training.report import report
from spyglass_training.run import training
from spyglass_training.models import ARCHITECTURES

for architecture in ARCHITECTURES.values():
    smaller = architecture.with_input((80, 80))
    model = smaller.build(smaller.input, 3)
    if model.count_params() < 1_000_000:
        pixels = np.zeros((1, *model.input_shape[1:]), np.uint8)
        print(architecture.name, model.predict_on_batch(pixels).shape[-1])
"""

TRAIN = """
import sys
from pathlib import Path
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.datasets.formats import mnist
from spyglass_training.models import find_architecture
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.training import train

architecture = find_architecture("lenet5")
data = mnist.load(Path(sys.argv[1]), architecture.input)
record = train(architecture, data, TrainingOptions(epochs=3), RunFolder(Path(sys.argv[2])))
print(record.metrics["test_accuracy"], *sorted(record.library_versions))
"""

REFUSED = """
import os
from spyglass_contract.errors import FailedPrecondition
from spyglass_training.run.distribution import distributed

os.environ["TF_CONFIG"] = '{"cluster": {"worker": ["here:1"]}, "task": {"type": "worker", "index": 0}}'
try:
    with distributed():
        print("distributed")
except FailedPrecondition as error:
    print(error)
"""


def run(program: str, backend: str, *words: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW + program, *map(str, words)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports when it is imported."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            yield from (name.name for name in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield statement.module or ""


def test_only_the_module_for_several_workers_imports_tensorflow_and_no_module_imports_it_at_its_top(
    repository_root: Path,
) -> None:
    package = repository_root / "training/spyglass_training"
    # Inspection needs TensorFlow; training does not.
    modules = [path for path in package.rglob("*.py") if path.parent.name != "inspect"]
    assert len(modules) > 40
    eager = {path.name for path in modules if any(name.startswith("tensorflow") for name in imports_of(path))}
    assert eager == {"workers.py"}
    assert not [path for path in modules if "spyglass_training.run.workers" in imports_of(path)]


@NEEDS_JAX
def test_networks_are_built_and_run_without_tensorflow() -> None:
    classes = dict(line.rsplit(" ", 1) for line in run(BUILD, "numpy"))
    assert classes["mini-xception"] == "3" and len(classes) >= 5


@NEEDS_JAX
def test_several_workers_are_rejected_without_tensorflow() -> None:
    assert run(REFUSED, "jax") == [
        "TF_CONFIG is set, but only Keras's TensorFlow backend trains on several workers"
    ]


@NEEDS_JAX
def test_jax_trains_without_tensorflow(digits_file: Path, tmp_path: Path) -> None:
    accuracy, *versions = run(TRAIN, "jax", digits_file, tmp_path / "run")[-1].split()
    assert float(accuracy) > 0.85 and "jax" in versions and "tensorflow" not in versions
