"""The certificate: golden images and tensors with the outputs of the network before its export."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import numpy as np

from spyglass.v1.model_pb2 import Certificate, GoldenImage, GoldenTensor, ModelCard
from spyglass_contract.errors import ModelError, SpyglassError
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.certificate import EXPORT_TOLERANCE, Run, golden_tensor, kept, pixels_sha256

SEEDS = range(16)


def certify(card: ModelCard, images: Mapping[str, bytes], reference: Run, *, reference_name: str) -> None:
    """Write a certificate into `card`: the outputs of `reference` for golden images and noise tensors.

    `reference` is the network before its export; `images` are encoded, by name. `max_abs_diff` stays unset:
    the code that runs the exported graph fills it in. Raises ModelError if an image cannot be read.
    """
    card.certificate.CopyFrom(
        Certificate(
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            reference=reference_name,
            tolerance=EXPORT_TOLERANCE,
            images=[_image(card, name, encoded, reference) for name, encoded in images.items()],
            tensors=[_tensor(card, seed, reference) for seed in SEEDS],
        )
    )


def _image(card: ModelCard, name: str, encoded: bytes, reference: Run) -> GoldenImage:
    try:
        pixels = prepare(encoded, card.input).pixels
    except SpyglassError as error:
        raise ModelError(f"cannot read the golden image {name}: {error.message}") from error
    expected = kept(reference(pixels[np.newaxis]))
    return GoldenImage(name=name, encoded=encoded, pixels_sha256=pixels_sha256(pixels), expected=expected)


def _tensor(card: ModelCard, seed: int, reference: Run) -> GoldenTensor:
    return GoldenTensor(seed=seed, expected=kept(reference(golden_tensor(seed, card.input))))
