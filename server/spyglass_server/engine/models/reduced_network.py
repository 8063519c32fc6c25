"""A network in a reduced precision, with the heatmaps of the original one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard, ReducedPrecision
from spyglass_contract.model.certificate import MOST_REDUCED_TOLERANCE
from spyglass_contract.model.comparison import Comparison
from spyglass_contract.model.precisions import BF16, USUAL
from spyglass_server.engine.models.session import Session


class ReducedNetwork:
    """The classes and masks of `reduced`, and the heatmaps of `original`, which stay exact.

    Both are the same model; see `Network` for the methods.
    """

    def __init__(self, original: Session, reduced: Session, card: ModelCard) -> None:
        """Take the card of the model as `reduced_card` or `bf16_card` makes it."""
        self.card = card
        self.provider = reduced.provider
        self.heatmap_provider = original.heatmap_provider
        self.run = reduced.run
        # A network without heatmaps needs no memory for the original.
        self._original = original if card.explained_layer else None

    def explain(
        self, pixels: NDArray[np.uint8], classes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities and heatmaps of the original network."""
        assert self._original is not None
        return self._original.explain(pixels, classes)

    def features(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities, class scores and feature map of the original network."""
        assert self._original is not None
        return self._original.features(pixels)


def reduced_card(original: ModelCard, reduced: ModelCard) -> ModelCard:
    """Return the card of the model with precision and certificate of the file that computes its classes."""
    card = ModelCard()
    card.CopyFrom(original)
    card.reduced_precision.CopyFrom(reduced.reduced_precision)
    card.certificate.CopyFrom(reduced.certificate)
    return card


def bf16_card(original: ModelCard, found: Comparison, sha256: str) -> ModelCard:
    """Return the card of the model in bf16, which has no file of its own: measured when it was loaded.

    Its certificate is that of the file, with the tolerance of a reduced precision. `sha256` is of the file.
    """
    card = ModelCard()
    card.CopyFrom(original)
    card.certificate.tolerance = MOST_REDUCED_TOLERANCE
    card.reduced_precision.CopyFrom(
        ReducedPrecision(
            precision=BF16,
            held_out_images=found.images,
            agreement=found.agreement,
            metric=found.metric,
            original_metric=found.original_metric,
            reduced_metric=found.reduced_metric,
            least_agreement=USUAL.agreement,
            most_metric_loss=USUAL.metric_loss,
            source_sha256=sha256,
        )
    )
    return card
