"""The rounding noise of a network, and the difference that a certificate allows because of it.

The same network gives slightly different probabilities if numbers are added up in another order: by another
runtime, processor or batch. In deep networks and in float16 that noise can be above 1e-5, so one tolerance
for all would refuse files that are right. The noise is measured with the network from before the export, so
an error of the export does not raise the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, MOST_TOLERANCE, Run, golden_tensor, kept
from spyglass_export.proving.golden import golden_pixels

# A few inputs do not show the largest noise of all.
_FACTOR = 8
_IMAGES, _TENSORS = 2, 3
_SEEDS = (0, 1)


def tolerance_for(noise: float, most: float = MOST_TOLERANCE) -> float:
    """Return the largest difference of a probability that a certificate allows a network of this noise."""
    return min(max(EXPORT_TOLERANCE, _FACTOR * noise), most)


def rounding_noise(
    card: ModelCard, images: Mapping[str, bytes], reference: Run, others: Iterable[Run]
) -> float:
    """Return the largest difference of any probability between `reference` and `others`.

    The others are the same network with other rounding. It runs on up to two of the encoded `images` and on
    three tensors. Raises ModelError if a run fails or an image cannot be read.
    """
    inputs = list(_inputs(card, images))
    expected = [kept(reference(pixels)) for pixels in inputs]
    return max(
        (
            float(np.abs(kept(other(pixels)) - outputs).max())
            for other in others
            for pixels, outputs in zip(inputs, expected, strict=True)
        ),
        default=0.0,
    )


def _inputs(card: ModelCard, images: Mapping[str, bytes]) -> Iterator[NDArray[np.uint8]]:
    for name, encoded in list(images.items())[:_IMAGES]:
        yield golden_pixels(card.input, name, encoded)
    for seed in range(_TENSORS):
        yield golden_tensor(seed, card.input)


def perturbations() -> Iterator[np.random.Generator]:
    """Yield a source of random numbers for each perturbed run."""
    for seed in _SEEDS:
        yield np.random.default_rng(seed)


def perturbed(numbers: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    """Return floats that differ from `numbers` by one unit in the last place, upwards or downwards."""
    towards = random.choice(np.array([-np.inf, np.inf], numbers.dtype), numbers.shape)
    return np.nextafter(numbers, towards)


def perturbed_to(bits: int, scores: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return scores changed by one unit in the last of `bits` significant bits, upwards or downwards."""
    _, exponents = np.frexp(scores)
    signs = random.choice(np.array([-1, 1], np.float32), scores.shape)
    return scores + np.ldexp(signs, exponents - bits)
