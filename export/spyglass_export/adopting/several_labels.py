"""A sign that a network gives each image several labels."""

from __future__ import annotations

import numpy as np

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.certificate import Run

# A label is certain by itself if its sigmoid is at least this.
_CERTAIN = 0.9


def images_of_several_labels(card: ModelCard, logits: Run) -> tuple[str, ...]:
    """Return the golden images for which the sigmoids of two classes or more are at least 0.9.

    A network of independent labels shows this often, but other networks can show it too. `logits` maps
    pixels to [1, columns].
    """
    threshold = np.log(_CERTAIN / (1 - _CERTAIN))
    names = []
    for golden in card.certificate.images:
        found = logits(prepare(golden.encoded, card.input).pixels[np.newaxis])
        if (found >= threshold).sum() > 1:
            names.append(golden.name)
    return tuple(names)
