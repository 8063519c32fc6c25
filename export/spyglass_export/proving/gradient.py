"""The gradient in a model file, compared with finite differences of the score that it differentiates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from spyglass_export.proving.heatmaps import Examined

_IMAGES = 2
# In double precision the effect of a map that is 0 on paper is below 1e-14; float32 makes 1e-8 of it.
_NO_EFFECT = 1e-10


@dataclass(frozen=True)
class Checked:
    """The largest relative difference between a gradient and finite differences, and the gradient's effect.

    `effect` is the largest relative change of a score, as the gradient in double precision states it, if an
    explained tensor changes by its own size.
    """

    error: float
    effect: float


def prove_gradient(model: onnx.ModelProto, card: ModelCard, examined: Examined) -> float | None:
    """Return `gradient_error` on two golden images, or on two golden tensors if there are no images.

    Raises CertificateError if it is above `TOLERANCE`, or if the gradient is 0 in double precision but the
    `examined` maps are not: then they show the rounding errors of float32.
    """
    if not card.explained_layer:
        return None
    checked = checked_gradient(model, card.input.tensor, list(_inputs(card)))
    if checked is None:
        return None
    if checked.error > TOLERANCE:
        raise CertificateError(
            f"the heatmap cannot be trusted: the gradient with respect to {card.explained_layer} differs "
            f"from finite differences of the score by {checked.error:.2g} of its size, more than {TOLERANCE}"
            "; choose another feature map or method, or make the model without heatmaps"
        )
    if checked.effect < _NO_EFFECT and examined.zero < examined.maps:
        raise CertificateError(
            f"the heatmap means nothing: no class score depends on {card.explained_layer}, and its heatmaps "
            "show the rounding errors of float32; choose another feature map or method, or make the model "
            "without heatmaps"
        )
    return checked.error


def gradient_error(model: onnx.ModelProto, fed: str, images: Sequence[NDArray[Any]]) -> float | None:
    """Return the error of `checked_gradient`, or None."""
    checked = checked_gradient(model, fed, images)
    return None if checked is None else checked.error


def checked_gradient(model: onnx.ModelProto, fed: str, images: Sequence[NDArray[Any]]) -> Checked | None:
    """Compare the gradient of the heatmap with finite differences.

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
    effect = 0.0
    for tensor in record.explained:
        try:
            head = Head(model, record, tensor, feeds)
            found = [error for error in head.errors() if not np.isnan(error)]
        # ONNX Runtime's exceptions have no common base class.
        except Exception:
            return None
        if not found:
            return None
        errors.extend(found)
        effect = max(effect, head.effect)
    return Checked(max(errors), effect)


def _inputs(card: ModelCard) -> Iterator[NDArray[np.uint8]]:
    certificate = card.certificate
    for image in certificate.images[:_IMAGES]:
        yield golden_pixels(card.input, image.name, image.encoded)
    for tensor in () if certificate.images else certificate.tensors[:_IMAGES]:
        yield golden_tensor(tensor.seed, card.input)
