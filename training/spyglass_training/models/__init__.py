"""The architectures by name. Each is one file: a pure builder and its default input."""

from __future__ import annotations

from typing import Any

from spyglass.v1.model_pb2 import TASK_SEGMENT, InputSpec
from spyglass_contract.errors import NotFound
from spyglass_training.architecture_names import SUMMARIES, listed
from spyglass_training.models import (
    cats_dogs_convnet,
    efficientnet_lite0,
    efficientnet_v2_b0,
    lenet5,
    mini_xception,
    mnist_convnet,
    mnist_convnet_functional,
    pet_segmentation,
    simple_cnn,
    small_resnet,
    vgg16,
    xception,
)
from spyglass_training.models.architecture import Architecture, Builder

__all__ = ["ARCHITECTURES", "Architecture", "find_architecture"]


def _architecture(name: str, builder: Builder, spec: InputSpec, **more: Any) -> Architecture:
    return Architecture(name, builder, spec, SUMMARIES[name], **more)


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        _architecture("lenet5", lenet5.build, lenet5.INPUT),
        _architecture("simple-cnn", simple_cnn.build, simple_cnn.INPUT),
        _architecture("mnist-convnet", mnist_convnet.build, mnist_convnet.INPUT),
        _architecture(
            "mnist-convnet-functional", mnist_convnet_functional.build, mnist_convnet_functional.INPUT
        ),
        _architecture(
            "mnist-convnet-no-pooling",
            mnist_convnet_functional.build_without_pooling,
            mnist_convnet_functional.INPUT,
        ),
        _architecture("cats-dogs-convnet", cats_dogs_convnet.build, cats_dogs_convnet.INPUT),
        _architecture(
            "vgg16-features",
            vgg16.build_features,
            vgg16.INPUT,
            cached_layer=vgg16.FEATURES,
            run_choices={"weights": "imagenet"},
        ),
        _architecture(
            "vgg16-finetune",
            vgg16.build_finetune,
            vgg16.INPUT,
            cached_layer=vgg16.BEFORE_LAST_BLOCK,
            fine_tuned_layers=vgg16.LAST_BLOCK,
            run_choices={"weights": "imagenet"},
        ),
        _architecture("small-resnet", small_resnet.build, small_resnet.INPUT),
        _architecture("mini-xception", mini_xception.build, mini_xception.INPUT),
        _architecture(
            "pet-segmentation",
            pet_segmentation.build,
            pet_segmentation.INPUT,
            task=TASK_SEGMENT,
        ),
        _architecture("xception", xception.build, xception.INPUT),
        _architecture("efficientnet-v2-b0", efficientnet_v2_b0.build, efficientnet_v2_b0.INPUT),
        _architecture("efficientnet-lite0", efficientnet_lite0.build, efficientnet_lite0.INPUT),
    )
}


def find_architecture(name: str) -> Architecture:
    """Return the architecture of that name. Raises NotFound with the known names."""
    if name not in ARCHITECTURES:
        raise NotFound(
            f"there is no architecture {name!r}; the architectures are\n{listed()}",
            reason="ARCHITECTURE_NOT_FOUND",
        )
    return ARCHITECTURES[name]
