"""The gradient in a model file, compared with finite differences of the score that it differentiates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.certificate import golden_tensor
from spyglass_export.proving.finite_differences import TOLERANCE, Head
from spyglass_export.proving.golden import golden_pixels
from spyglass_export.proving.head_graph import gradient_record

_IMAGES = 2


def prove_gradient(model: onnx.ModelProto, card: ModelCard) -> float | None:
    """Return `gradient_error` on two golden images, or on two golden tensors if there are no images.

    Raises CertificateError if it is above `TOLERANCE`.
    """
    if not card.explained_layer:
        return None
    error = gradient_error(model, card.input.tensor, list(_inputs(card)))
    if error is not None and error > TOLERANCE:
        raise CertificateError(
            f"the heatmap cannot be trusted: the gradient with respect to {card.explained_layer} differs "
            f"from finite differences of the score by {error:.2g} of its size, more than {TOLERANCE}; choose "
            "another feature map or method, or make the model without heatmaps"
        )
    return error


def gradient_error(model: onnx.ModelProto, fed: str, images: Sequence[NDArray[Any]]) -> float | None:
    """Return the largest relative difference between the gradient of the heatmap and finite differences.

    `images` are values of the model's input `fed`, each of one image. The explained tensor is moved a little
    in both directions along the gradient and along random vectors, for the predicted class and a random other
    one. The gradient is that of the file, in double precision where ONNX Runtime has it; quantised tensors
    keep their numbers. The tensor is first moved to a random place nearby, because at equal maxima and at 0
    behind a rectifier the score has no derivative.

    Return None if the heatmap needs no gradient, if the nodes behind the tensor do not run by themselves, or
    if finite differences for several steps do not agree with each other.
    """
    record = gradient_record(model)
    if record is None:
        return None
    feeds = [{fed: image} for image in images]
    errors: list[float] = []
    for tensor in record.explained:
        try:
            found = [error for error in Head(model, record, tensor, feeds).errors() if not np.isnan(error)]
        # ONNX Runtime's exceptions have no common base class.
        except Exception:
            return None
        if not found:
            return None
        errors.extend(found)
    return max(errors)


def _inputs(card: ModelCard) -> Iterator[NDArray[np.uint8]]:
    certificate = card.certificate
    for image in certificate.images[:_IMAGES]:
        yield golden_pixels(card.input, image.name, image.encoded)
    for tensor in () if certificate.images else certificate.tensors[:_IMAGES]:
        yield golden_tensor(tensor.seed, card.input)
