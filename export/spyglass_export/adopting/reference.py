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
from spyglass_export.proving.noise import perturbations, perturbed, perturbed_to
from spyglass_export.simplifying.node_order import all_nodes

# Significant bits, the coarsest type first.
_HALF_BITS = {TensorProto.BFLOAT16: 8, TensorProto.FLOAT16: 11}


class Reference:
    """A network with its pre- and postprocessing in numpy.

    `random` changes each input by one unit in the last place; whole numbers, as in an input of pixels, stay.
    If the network computes in half precision, of `half_bits` significant bits, it changes each output so,
    too: a runtime may leave out the rounding of any tensor, and so that of the outputs.
    """

    def __init__(
        self,
        network: Network,
        plan: Plan,
        random: np.random.Generator | None = None,
        half_bits: int | None = None,
    ) -> None:
        self._network, self._plan, self._random, self._half_bits = network, plan, random, half_bits

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's own output for one image [1, height, width, channels]: [1, columns]."""
        image = self._preprocessed(pixels)
        if self._random is None:
            return self._network.run(image)
        if self._plan.image.element != TensorProto.UINT8:
            image = perturbed(image, self._random)
        scores = self._network.run(image)
        return scores if self._half_bits is None else perturbed_to(self._half_bits, scores, self._random)

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
    half_bits = _half_bits(model)
    if plan.image.element != TensorProto.UINT8 or half_bits is not None:
        for random in perturbations():
            yield Reference(network, plan, random, half_bits).probabilities
    yield Reference(Network(model, network.output, network.batch, optimised=False), plan).probabilities


def _half_bits(model: onnx.ModelProto) -> int | None:
    """The significant bits of the coarsest type of half precision in a network, None if it has none."""
    nodes = all_nodes(model.graph)
    attributes = [attribute for node in nodes for attribute in node.attribute]
    types = {value.type.tensor_type.elem_type for value in model.graph.input}
    types.update(tensor.data_type for tensor in model.graph.initializer)
    types.update(attribute.t.data_type for attribute in attributes if attribute.HasField("t"))
    types.update(attribute.i for attribute in attributes if attribute.name == "to")
    return next((bits for half, bits in _HALF_BITS.items() if half in types), None)
