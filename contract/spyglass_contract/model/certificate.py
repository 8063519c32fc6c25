"""Golden images and tensors with the answers they must get: how a file proves that it is still itself."""

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

# uint8 [batch, height, width, channels] to float32 probabilities [batch, …].
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# What the export allows between the reference and the file, on one machine.
EXPORT_TOLERANCE = 1e-5
# What a server allows: another processor adds up in another order.
REPLAY_TOLERANCE = 1e-4
# Of a mask. All of them would be many times the size of the network.
KEPT_PIXELS = 512


@dataclass(frozen=True)
class Replay:
    """What came of asking a network its golden questions."""

    # The largest difference of any probability.
    tensor_diff: float
    image_diff: float
    # Names of the images whose decoded pixels are not those of the export, to the bit.
    changed_pixels: tuple[str, ...]

    @property
    def max_abs_diff(self) -> float:
        return max(self.tensor_diff, self.image_diff)


def golden_tensor(seed: int, spec: InputSpec) -> NDArray[np.uint8]:
    """uint8 [1, height, width, channels] of noise; the same for a seed wherever numpy runs (NEP 19)."""
    shape = (1, spec.height, spec.width, channels(spec))
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def kept(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a certificate keeps of an answer [1, …, classes], flat: of a large mask only some of its pixels.

    They lie a fixed number of pixels apart that has no divisor in common with the width: so they come from
    all over the image, and from every position in the grid of a stride.
    """
    pixels = np.asarray(answer, np.float32).reshape(-1, answer.shape[-1])
    width = answer.shape[-2] if answer.ndim > 1 else 1
    apart = next(n for n in itertools.count(math.ceil(len(pixels) / KEPT_PIXELS)) if math.gcd(n, width) == 1)
    return pixels[::apart].ravel()


def pixels_sha256(pixels: NDArray[np.uint8]) -> str:
    """The hash of the pixels that enter the network, lower-case hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def replay(card: ModelCard, run: Run) -> Replay:
    """Asks `run` every golden question of the card, from bytes to answer.

    Raises CertificateError where there is none, where an image cannot be read or the network does not run,
    and where an answer has another shape or is not finite.
    """
    certificate = card.certificate
    if not certificate.tensors or not certificate.images:
        raise CertificateError("the model card holds no certificate")
    tensor_diff = max(
        _ask(card, run, golden_tensor(golden.seed, card.input), golden.expected, f"tensor {golden.seed}")
        for golden in certificate.tensors
    )
    image_diff, changed = 0.0, []
    for golden in certificate.images:
        pixels = _pixels(golden, card.input)
        if pixels_sha256(pixels) != golden.pixels_sha256:
            changed.append(golden.name)
        image_diff = max(image_diff, _ask(card, run, pixels[np.newaxis], golden.expected, golden.name))
    return Replay(tensor_diff, image_diff, tuple(changed))


def verify(card: ModelCard, run: Run, tolerance: float = REPLAY_TOLERANCE) -> Replay:
    """Replays the certificate and raises CertificateError where an answer is off by more than `tolerance`."""
    found = replay(card, run)
    if found.max_abs_diff > tolerance:
        pixels = f"; the pixels of {', '.join(found.changed_pixels)} differ" if found.changed_pixels else ""
        raise CertificateError(
            f"the answers differ from the certificate's by {found.max_abs_diff:.2g}, more than "
            f"{tolerance:.0e} (tensors {found.tensor_diff:.2g}, images {found.image_diff:.2g}{pixels})"
        )
    return found


def _pixels(golden: GoldenImage, spec: InputSpec) -> NDArray[np.uint8]:
    try:
        return prepare(golden.encoded, spec).pixels
    except SpyglassError as error:
        raise CertificateError(f"golden {golden.name}: {error.message}") from error


def _ask(card: ModelCard, run: Run, pixels: NDArray[np.uint8], expected: Iterable[float], name: str) -> float:
    """The largest difference between the answer and the expected one."""
    try:
        answer = np.asarray(run(pixels), np.float32)
    # Runtimes' exceptions have no common base; each of them says that this file does not run.
    except Exception as error:
        raise CertificateError(f"golden {name}: the network does not run: {error}") from error
    wanted = np.fromiter(expected, np.float32)
    found = kept(answer)
    if found.size != wanted.size or answer.shape[-1] != len(card.class_names):
        raise CertificateError(
            f"golden {name}: the answer is {list(answer.shape)}, not {wanted.size} values of "
            f"{len(card.class_names)} classes"
        )
    if not (np.isfinite(answer).all() and np.isfinite(wanted).all()):
        raise CertificateError(f"golden {name}: the answer, or the one expected, is not finite")
    return float(np.abs(found - wanted).max())
