"""The gate of a reduced precision: it is served only if it keeps the classes of the original network here.

Another processor or runtime has other kernels. So the figures of the export do not suffice, and the server
compares both networks when it loads them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError, ModelError, SpyglassError
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.certificate import Run, verify
from spyglass_contract.model.comparison import Comparison
from spyglass_contract.model.held_out import HeldOut
from spyglass_contract.model.precisions import Tolerance, shortfall

SECONDS = 5.0
"""The longest time that the held-out images may take."""


class PrecisionError(ModelError):
    """The requested precision is missing, or it loses more than it may."""

    default_reason = "PRECISION_REFUSED"


def pass_gate(
    card: ModelCard,
    original: Run,
    reduced: Run,
    held_out: HeldOut | None,
    tolerance: Tolerance,
    seconds: float = SECONDS,
) -> Comparison:
    """Compare two networks on the golden images of `card` and on the held-out images, one by one.

    Held-out images that are not reached within `seconds` are left out, and then the metric is not checked.
    Raises PrecisionError with the figures if the reduced network loses more than `tolerance`, returns numbers
    that are not finite, or does not run. Raises CertificateError if the original one fails its certificate.
    """
    verify(card, original)
    found = Comparison(len(card.class_names))
    ends, complete = time.monotonic() + seconds, True
    for golden in _golden(card):
        _add(found, original, reduced, golden, None)
    for pixels, labels in _one_by_one(held_out) if held_out else ():
        if time.monotonic() > ends:
            complete = False
            break
        _add(found, original, reduced, pixels, labels)
    # A metric of a few images says little.
    judged = tolerance if complete else Tolerance(tolerance.agreement, metric_loss=1.0)
    if problem := shortfall(found, judged):
        raise PrecisionError(problem)
    return found


def _one_by_one(held_out: HeldOut) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any] | None]]:
    """Yield batches of one image with its label, None if it is unknown."""
    for index in range(len(held_out)):
        part = slice(index, index + 1)
        yield held_out.pixels[part], None if held_out.labels is None else held_out.labels[part]


def _golden(card: ModelCard) -> Iterator[NDArray[np.uint8]]:
    for golden in card.certificate.images:
        try:
            yield prepare(golden.encoded, card.input).pixels[np.newaxis]
        except SpyglassError as error:
            raise CertificateError(f"golden {golden.name}: {error.message}") from error


def _add(
    found: Comparison, original: Run, reduced: Run, pixels: NDArray[np.uint8], labels: NDArray[Any] | None
) -> None:
    classes = original(pixels).argmax(axis=-1)
    # The exceptions of runtimes have no common base class.
    try:
        output = reduced(pixels)
    except Exception as error:
        raise PrecisionError(f"it does not run: {error}") from error
    if output.shape[:-1] != classes.shape or output.shape[-1] != found.classes:
        raise PrecisionError(
            f"it returns {list(output.shape)}, and the original network {list(classes.shape)} numbers of "
            f"{found.classes} classes"
        )
    found.add(classes, output, labels)
