"""The certificate: golden images and tensors with the outputs of the network before its export."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from spyglass.v1.model_pb2 import Certificate, GoldenImage, GoldenTensor, ModelCard
from spyglass_contract.model.certificate import Run, golden_tensor, kept, most_tolerance, pixels_sha256
from spyglass_export.proving.golden import golden_pixels
from spyglass_export.proving.noise import tolerance_for

SEEDS = range(16)


def certify(
    card: ModelCard, images: Mapping[str, bytes], reference: Run, *, reference_name: str, noise: float = 0.0
) -> None:
    """Write a certificate into `card`: the outputs of `reference` for golden images and noise tensors.

    `reference` is the network before its export; `images` are encoded, by name. `noise` is the rounding noise
    of the reference, which sets the tolerance. `max_abs_diff` stays unset: the code that runs the exported
    graph fills it in. Raises ModelError if an image cannot be read.
    """
    card.certificate.CopyFrom(
        Certificate(
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            reference=reference_name,
            tolerance=tolerance_for(noise, most_tolerance(card)),
            noise=noise,
            images=[_image(card, name, encoded, reference) for name, encoded in images.items()],
            tensors=[_tensor(card, seed, reference) for seed in SEEDS],
        )
    )


def _image(card: ModelCard, name: str, encoded: bytes, reference: Run) -> GoldenImage:
    pixels = golden_pixels(card.input, name, encoded)
    digest = pixels_sha256(pixels[0])
    return GoldenImage(name=name, encoded=encoded, pixels_sha256=digest, expected=kept(reference(pixels)))


def _tensor(card: ModelCard, seed: int, reference: Run) -> GoldenTensor:
    return GoldenTensor(seed=seed, expected=kept(reference(golden_tensor(seed, card.input))))
