"""The work that every server does: bytes to pixels by `spyglass_contract`, pixels to the five best classes.

It needs numpy, Pillow, protobuf and ONNX Runtime, and neither Spyglass's server nor gRPC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import PROBABILITIES, read_card
from spyglass_contract.onnx_runtime import onnxruntime

_TOP = 5


class Classifier:
    """A model file in ONNX Runtime, one thread for each run."""

    def __init__(self, path: str) -> None:
        """Load the file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._card = read_card(self._session)
        self._none = {"class_index": np.zeros(0, np.int64)} if self._card.explained_layer else {}

    def classify(self, images: Sequence[bytes]) -> list[list[dict[str, Any]]]:
        """Return for each encoded image the index, name and score of its best classes; one run for all."""
        names = self._card.class_names
        return [
            [{"index": int(i), "name": names[i], "score": float(row[i])} for i in np.argsort(-row)[:_TOP]]
            for row in self._probabilities(images)
        ]

    def _probabilities(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        pixels = np.stack([prepare(image, self._card.input).pixels for image in images])
        feed = {self._card.input.tensor: pixels, **self._none}
        (probabilities,) = self._session.run([PROBABILITIES], feed)
        return probabilities
