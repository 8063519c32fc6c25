"""The architectures by name. Each is one file: a pure builder and the input that it takes by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import NotFound
from spyglass_training.models import efficientnet_lite0, mnist_convnet

Builder = Callable[[InputSpec, int], keras.Model]


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any input and number of classes."""

    name: str
    build: Builder
    input: InputSpec
    # One sentence for people.
    summary: str


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            "mnist-convnet",
            mnist_convnet.build,
            mnist_convnet.INPUT,
            "A small convnet for 28×28 grey pictures, white on black.",
        ),
        Architecture(
            "efficientnet-lite0",
            efficientnet_lite0.build,
            efficientnet_lite0.INPUT,
            "EfficientNet-Lite0, a fast convnet for 224×224 colour photographs.",
        ),
    )
}


def find_architecture(name: str) -> Architecture:
    """The architecture of that name. Raises NotFound, which tells the names there are."""
    if name not in ARCHITECTURES:
        known = "\n".join(f"  {known.name}: {known.summary}" for known in ARCHITECTURES.values())
        raise NotFound(
            f"no architecture is named {name!r}; there are\n{known}", reason="ARCHITECTURE_NOT_FOUND"
        )
    return ARCHITECTURES[name]
