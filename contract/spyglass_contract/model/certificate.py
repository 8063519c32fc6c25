"""The certificate of a model file: golden images and tensors with the probabilities they must give."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import GoldenImage, InputSpec, ModelCard
from spyglass_contract.errors import CertificateError, SpyglassError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.images.pixels import prepare

# The network: uint8 [batch, height, width, channels] to float32 probabilities [batch, …].
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# The largest differences from the reference: that which the export allows on its own machine, and that which
# a server allows, because its processor may add numbers in another order. A network with more rounding noise
# has a larger tolerance in its certificate.
EXPORT_TOLERANCE = 1e-5
REPLAY_TOLERANCE = 1e-4
# The largest tolerance of a certificate.
MOST_TOLERANCE = 1e-2
# That of a network in integers: a sum that lies between two of them is rounded up by one processor and down
# by another, and the difference is a whole step.
MOST_REDUCED_TOLERANCE = 0.1
LEAST_REDUCED_TOLERANCE = 0.01
# The most pixels of a segmentation output that a certificate holds. All of them would take many times the
# size of the network.
KEPT_PIXELS = 512


@dataclass(frozen=True)
class Replay:
    """The differences between a network's outputs and its certificate."""

    # The largest difference of any probability, of the tensors and of the images.
    tensor_diff: float
    image_diff: float
    # The images that are not decoded to exactly the pixels of the export.
    changed_pixels: tuple[str, ...]

    @property
    def max_abs_diff(self) -> float:
        return max(self.tensor_diff, self.image_diff)


def golden_tensor(seed: int, spec: InputSpec) -> NDArray[np.uint8]:
    """Return noise, uint8 [1, height, width, channels]; NEP 19 keeps it the same for a seed everywhere."""
    shape = (1, spec.height, spec.width, channels(spec))
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def kept(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the part of an output [1, …, classes] that a certificate keeps, flat.

    Of an output with many pixels these are pixels a fixed number apart. That number has no common divisor
    with the width: so they come from all parts of the image, and from every position in the grid of a stride.
    """
    pixels = np.asarray(output, np.float32).reshape(-1, output.shape[-1])
    width = output.shape[-2] if output.ndim > 1 else 1
    apart = next(n for n in itertools.count(math.ceil(len(pixels) / KEPT_PIXELS)) if math.gcd(n, width) == 1)
    return pixels[::apart].ravel()


def pixels_sha256(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the network's input, row by row, in lower-case hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def replay(card: ModelCard, run: Run) -> Replay:
    """Run all golden tensors and images of the card, one by one, and compare the outputs.

    Raises CertificateError if the card has no certificate, an image cannot be decoded, the network does not
    run, or an output has another shape or is not finite.
    """
    certificate = card.certificate
    if not certificate.tensors or not certificate.images:
        raise CertificateError("the model card has no certificate; export the model again")
    tensor_diff = max(
        _difference(
            card, run, golden_tensor(golden.seed, card.input), golden.expected, f"tensor {golden.seed}"
        )
        for golden in certificate.tensors
    )
    image_diff, changed = 0.0, []
    for golden in certificate.images:
        pixels = _pixels(golden, card.input)
        if pixels_sha256(pixels) != golden.pixels_sha256:
            changed.append(golden.name)
        image_diff = max(image_diff, _difference(card, run, pixels[np.newaxis], golden.expected, golden.name))
    return Replay(tensor_diff, image_diff, tuple(changed))


def export_tolerance(card: ModelCard) -> float:
    """Return the largest difference that the export of this card's network allows."""
    least = LEAST_REDUCED_TOLERANCE if card.HasField("reduced_precision") else EXPORT_TOLERANCE
    return max(least, min(card.certificate.tolerance, most_tolerance(card)))


def most_tolerance(card: ModelCard) -> float:
    """Return the largest difference that any certificate of this card may allow."""
    return MOST_REDUCED_TOLERANCE if card.HasField("reduced_precision") else MOST_TOLERANCE


def replay_tolerance(card: ModelCard) -> float:
    """Return the largest difference that a server allows: 1e-4, or twice that of the export if it is more."""
    return max(REPLAY_TOLERANCE, 2 * export_tolerance(card))


def verify(card: ModelCard, run: Run, tolerance: float | None = None) -> Replay:
    """Replay the certificate. Raises CertificateError if an output differs by more than `tolerance`.

    The default is `replay_tolerance`.
    """
    found = replay(card, run)
    if tolerance is None:
        tolerance = replay_tolerance(card)
    if found.max_abs_diff > tolerance:
        pixels = f"; the pixels of {', '.join(found.changed_pixels)} differ" if found.changed_pixels else ""
        raise CertificateError(
            f"the probabilities differ from the certificate's by {found.max_abs_diff:.2g}, more than "
            f"{tolerance:.0e} (tensors {found.tensor_diff:.2g}, images {found.image_diff:.2g}{pixels}); the "
            f"network's own rounding noise is {card.certificate.noise:.2g}"
        )
    return found


def _pixels(golden: GoldenImage, spec: InputSpec) -> NDArray[np.uint8]:
    try:
        return prepare(golden.encoded, spec).pixels
    except SpyglassError as error:
        raise CertificateError(f"golden {golden.name}: {error.message}") from error


def _difference(
    card: ModelCard, run: Run, pixels: NDArray[np.uint8], expected: Iterable[float], name: str
) -> float:
    """Return the largest difference between the network's output and the expected one."""
    try:
        output = np.asarray(run(pixels), np.float32)
    # The exceptions of runtimes have no common base class.
    except Exception as error:
        raise CertificateError(f"golden {name}: the network does not run: {error}") from error
    reference = np.fromiter(expected, np.float32)
    found = kept(output)
    if found.size != reference.size or output.shape[-1] != len(card.class_names):
        raise CertificateError(
            f"golden {name}: the output must give {reference.size} values of {len(card.class_names)} "
            f"classes; its shape is {list(output.shape)}"
        )
    if not (np.isfinite(output).all() and np.isfinite(reference).all()):
        raise CertificateError(f"golden {name}: the output, or the expected one, is not finite")
    return float(np.abs(found - reference).max())
