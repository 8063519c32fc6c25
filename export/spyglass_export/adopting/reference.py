"""The given network as the reference of a certificate, and the same network with other rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass_contract.model.certificate import Run
from spyglass_export.adopting.complete import Plan
from spyglass_export.adopting.network import Network
from spyglass_export.adopting.postprocessing import postprocess
from spyglass_export.adopting.preprocessing import preprocess
from spyglass_export.proving.noise import perturbations, perturbed, perturbed_half


class Reference:
    """A network with its pre- and postprocessing in numpy.

    `random` changes each input by one unit in the last place, and each output in half precision, too. Whole
    numbers, as in an input of pixels, stay unchanged.
    """

    def __init__(self, network: Network, plan: Plan, random: np.random.Generator | None = None) -> None:
        self._network, self._plan, self._random = network, plan, random

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's own output for one image [1, height, width, channels]: [1, columns]."""
        image = self._preprocessed(pixels)
        if self._random is None:
            return self._network.run(image)
        if self._plan.image.element != TensorProto.UINT8:
            image = perturbed(image, self._random)
        return perturbed_half(self._network.run(image), self._random)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of one image [1, height, width, channels]: [1, classes]."""
        return postprocess(self.logits(pixels), self._plan.activation)

    def _preprocessed(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        image = self._plan.image
        return preprocess(
            pixels, self._plan.preprocessing, channels_first=image.channels_first, element=image.element
        )


def other_roundings(model: onnx.ModelProto, network: Network, plan: Plan) -> Iterator[Run]:
    """Yield the reference for numbers changed in their last place, and without optimisations of the graph.

    `network` is `model`, opened with optimisations.
    """
    for random in perturbations():
        yield Reference(network, plan, random).probabilities
    yield Reference(Network(model, network.output, network.batch, optimised=False), plan).probabilities
