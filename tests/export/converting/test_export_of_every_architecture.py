"""Every architecture, trained for a few steps on real images, exports to a file with a certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass_contract.images.decode import decode
from spyglass_contract.images.pixels import DEFAULT_LIMITS, prepare
from spyglass_contract.model.certificate import EXPORT_TOLERANCE
from spyglass_contract.model.run_folder import DataRecord, RunFolder
from spyglass_export.export import export_run
from spyglass_training.datasets.dataset import Dataset, Split
from spyglass_training.models import ARCHITECTURES, Architecture
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.training import train

pytestmark = [pytest.mark.training, pytest.mark.slow]

# The smallest architecture can be built for this size, and the largest trains quickly at it.
SIDE = 80
OPTIONS = TrainingOptions(epochs=1, fine_tune_epochs=1, batch_size=4)


@pytest.fixture(scope="module")
def cut_outs(repository_root: Path) -> Callable[[Architecture], Dataset]:
    """Crops of two photographs: the class is the photograph, and a mask marks the bright pixels."""
    photographs = [
        np.asarray(decode((repository_root / "examples" / name).read_bytes(), DEFAULT_LIMITS)[0])
        for name in ("chelsea.jpg", "coffee.jpg")
    ]

    def split(architecture: Architecture, count: int, seed: int) -> Split:
        random = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        corners = random.integers(0, 150, (count, 2))
        squares = [
            photographs[label][top : top + 120, left : left + 120]
            for label, (top, left) in zip(labels, corners, strict=True)
        ]
        pixels = np.stack([prepare(square, architecture.input).pixels for square in squares])
        bright = (pixels.mean(axis=-1) > 128).astype(np.uint8)
        return Split(pixels, bright if architecture.task == TASK_SEGMENT else labels)

    def make(architecture: Architecture) -> Dataset:
        parts = [split(architecture, count, seed) for seed, count in enumerate((8, 4, 4))]
        record = DataRecord("cut-outs", "CC0-1.0", "0" * 64)
        return Dataset(record, ("cat", "coffee"), parts[0], parts[1], parts[2])

    return make


# Efficientnet-lite0 is used only with published weights; another test exports it.
TRAINED = {name: each for name, each in ARCHITECTURES.items() if name != "efficientnet-lite0"}


@pytest.mark.parametrize("architecture", TRAINED.values(), ids=TRAINED)
def test_every_architecture_is_trained_and_exported_with_a_certificate(
    architecture: Architecture, cut_outs: Callable[[Architecture], Dataset], tmp_path: Path
) -> None:
    smaller = architecture.with_input((SIDE, SIDE))
    if "augment" in smaller.choices:
        smaller = smaller.with_choices(augment="photograph")
    run = RunFolder(tmp_path / "run")
    train(smaller, cut_outs(smaller), OPTIONS, run)
    card = export_run(run, tmp_path / "models/cut-outs/1")
    assert card.task == architecture.task and list(card.class_names) == ["cat", "coffee"]
    assert 0 <= card.certificate.max_abs_diff <= EXPORT_TOLERANCE
