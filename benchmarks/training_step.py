"""The cost of a training step: Keras's normalisation and the fused one, on images and on cached features.

First mini-Xception, then the second phase of `vgg16-finetune`. The two forms alternate in every round, in one
process and on one thread. The figures are processor milliseconds for one image, minimum and median, and their
ratios to the first form. Images and weights are random; the cost does not depend on them.

    python benchmarks/training_step.py [--size 160] [--precision mixed_bfloat16] [--rounds 10]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow

from spyglass_training.models import find_architecture
from spyglass_training.run.cached_features import Features, cut
from spyglass_training.run.fused_batch_norm import fuse_batch_norm
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.phases import begin_phase, plan_phases

BATCH = 32
LABELS = np.arange(BATCH) % 2

Step = Callable[[], object]


def main() -> None:
    """Print a line for each form."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="mixed_bfloat16")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    keras.config.set_dtype_policy(options.precision)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, options.size, options.size, 1), np.uint8)
    print(f"{options.precision}, {options.size}×{options.size}, batches of {BATCH}")
    print("| network | form | least | ratio | median | ratio |\n|---|---|---|---|---|---|")
    for network, forms in (("mini-xception", normalising(pixels)), ("vgg16-finetune", fine_tuning(pixels))):
        show(network, measure(forms, options.rounds))


def normalising(pixels: np.ndarray) -> dict[str, Step]:
    """The same network with each kind of batch normalisation."""
    architecture = find_architecture("mini-xception").with_input(pixels.shape[1:3], "grey")
    architecture = architecture.with_choices(augment="part")
    plain, fused = (architecture.build(architecture.input, 2) for _ in range(2))
    fuse_batch_norm(fused)
    options = TrainingOptions()
    for model in (plain, fused):
        begin_phase(model, plan_phases(architecture, options)[0], options, steps_per_epoch=100)
    return {
        "Keras's": lambda: plain.train_on_batch(pixels, LABELS),
        "fused": lambda: fused.train_on_batch(pixels, LABELS),
    }


def fine_tuning(pixels: np.ndarray) -> dict[str, Step]:
    """The whole network on images, and its learning part on features."""
    architecture = find_architecture("vgg16-finetune").with_input(pixels.shape[1:3], "grey")
    architecture = architecture.with_choices(augment="mirror")
    options = TrainingOptions(fine_tune_epochs=1)
    _, second = plan_phases(architecture, options)
    whole, other = (architecture.build(architecture.input, 2) for _ in range(2))
    base, learning = cut(other, architecture.cached_layer)
    features = Features(base, BATCH).of(pixels)
    for model in (whole, learning):
        begin_phase(model, second, options, steps_per_epoch=100)
    return {
        "on images": lambda: whole.train_on_batch(pixels, LABELS),
        "on features": lambda: learning.train_on_batch(features, LABELS),
    }


def measure(forms: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Return processor seconds for one image, after two rounds of warm-up."""
    spent: dict[str, list[float]] = {form: [] for form in forms}
    for number in range(rounds + 2):
        for form, step in forms.items():
            started = time.process_time()
            step()
            if number >= 2:
                spent[form].append((time.process_time() - started) / BATCH)
    return spent


def show(network: str, spent: dict[str, list[float]]) -> None:
    """Print a line of the table for each form."""
    least = {form: min(times) for form, times in spent.items()}
    median = {form: statistics.median(times) for form, times in spent.items()}
    first = next(iter(spent))
    for form in spent:
        print(
            f"| {network} | {form} | {least[form] * 1e3:.1f} | {least[form] / least[first]:.2f} "
            f"| {median[form] * 1e3:.1f} | {median[form] / median[first]:.2f} |"
        )


if __name__ == "__main__":
    main()
