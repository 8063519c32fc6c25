"""Golden pictures and tensors with the answers they must get: how a file proves that it is still itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec, ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.pixels import channels, prepare

# uint8 [batch, height, width, channels] to float32 probabilities [batch, …].
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# What the export allows between the reference and the file, on one machine.
EXPORT_TOLERANCE = 1e-5
# What a server allows: another processor adds up in another order.
REPLAY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Replay:
    """What came of asking a network its golden questions."""

    # The largest difference of any probability.
    tensor_diff: float
    picture_diff: float
    # Names of the pictures whose decoded pixels are not those of the export, to the bit.
    changed_pixels: tuple[str, ...]

    @property
    def max_abs_diff(self) -> float:
        return max(self.tensor_diff, self.picture_diff)


def golden_tensor(seed: int, spec: InputSpec) -> NDArray[np.uint8]:
    """uint8 [1, height, width, channels] of noise; the same for a seed wherever numpy runs (NEP 19)."""
    shape = (1, spec.height, spec.width, channels(spec))
    return np.random.RandomState(seed).randint(0, 256, shape, dtype=np.uint8)


def pixels_sha256(pixels: NDArray[np.uint8]) -> str:
    """The hash of the pixels that enter the network, lower-case hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def replay(card: ModelCard, run: Run) -> Replay:
    """Asks `run` every golden question of the card, from bytes to answer.

    Raises CertificateError where there is none, or where an answer has another shape or is not finite.
    """
    certificate = card.certificate
    if not certificate.tensors or not certificate.pictures:
        raise CertificateError("the model card holds no certificate")
    tensor_diff = max(
        _difference(run(golden_tensor(golden.seed, card.input)), golden.expected, f"tensor {golden.seed}")
        for golden in certificate.tensors
    )
    picture_diff, changed = 0.0, []
    for golden in certificate.pictures:
        pixels = prepare(golden.encoded, card.input).pixels
        if pixels_sha256(pixels) != golden.pixels_sha256:
            changed.append(golden.name)
        answer = run(pixels[np.newaxis])
        picture_diff = max(picture_diff, _difference(answer, golden.expected, golden.name))
    return Replay(tensor_diff, picture_diff, tuple(changed))


def verify(card: ModelCard, run: Run, tolerance: float = REPLAY_TOLERANCE) -> Replay:
    """Replays the certificate and raises CertificateError where an answer is off by more than `tolerance`."""
    found = replay(card, run)
    if found.max_abs_diff > tolerance:
        pixels = f"; the pixels of {', '.join(found.changed_pixels)} differ" if found.changed_pixels else ""
        raise CertificateError(
            f"the answers differ from the certificate's by {found.max_abs_diff:.2g}, more than "
            f"{tolerance:.0e} (tensors {found.tensor_diff:.2g}, pictures {found.picture_diff:.2g}{pixels})"
        )
    return found


def _difference(answer: NDArray[np.float32], expected: object, name: str) -> float:
    wanted = np.asarray(expected, np.float32)
    got = np.asarray(answer, np.float32).ravel()
    if got.shape != wanted.shape:
        raise CertificateError(f"golden {name}: {got.size} values instead of {wanted.size}")
    if not np.isfinite(got).all():
        raise CertificateError(f"golden {name}: the answer is not finite")
    return float(np.abs(got - wanted).max())
