"""The architectures by name. Each is one file: a pure builder and the input that it takes by default."""

from __future__ import annotations

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass_contract.errors import NotFound
from spyglass_training.models import (
    cats_dogs_convnet,
    efficientnet_lite0,
    lenet5,
    mini_xception,
    mnist_convnet,
    mnist_convnet_functional,
    pet_segmentation,
    published_base,
    simple_cnn,
    small_resnet,
    vgg16,
)
from spyglass_training.models.architecture import Architecture

__all__ = ["ARCHITECTURES", "Architecture", "find_architecture"]

ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            "lenet5",
            lenet5.build,
            lenet5.INPUT,
            "LeNet-5, the first convnet in wide use, for 32×32 grey pictures.",
        ),
        Architecture(
            "simple-cnn",
            simple_cnn.build,
            simple_cnn.INPUT,
            "The least that is a convnet: one convolution, for 28×28 grey pictures.",
        ),
        Architecture(
            "mnist-convnet",
            mnist_convnet.build,
            mnist_convnet.INPUT,
            "A small convnet for 28×28 grey pictures, white on black.",
        ),
        Architecture(
            "mnist-convnet-functional",
            mnist_convnet_functional.build,
            mnist_convnet_functional.INPUT,
            "A small convnet for 28×28 grey pictures, without a hidden Dense layer.",
        ),
        Architecture(
            "mnist-convnet-no-pooling",
            mnist_convnet_functional.build_without_pooling,
            mnist_convnet_functional.INPUT,
            "mnist-convnet-functional without its poolings, to show what they are for.",
        ),
        Architecture(
            "cats-dogs-convnet",
            cats_dogs_convnet.build,
            cats_dogs_convnet.INPUT,
            "A plain convnet for 180×180 colour photographs, trained from scratch.",
        ),
        Architecture(
            "vgg16-features",
            vgg16.build_features,
            vgg16.INPUT,
            "A Dense head on the frozen convolutions of VGG16, for 180×180 colour photographs.",
            cached_layer=vgg16.FEATURES,
        ),
        Architecture(
            "vgg16-finetune",
            vgg16.build_finetune,
            vgg16.INPUT,
            "VGG16 with a Dense head, its last block fine-tuned, for 180×180 colour photographs.",
            fine_tuned_layers=vgg16.LAST_BLOCK,
        ),
        Architecture(
            "small-resnet",
            small_resnet.build,
            small_resnet.INPUT,
            "Three residual blocks, for 32×32 colour pictures.",
        ),
        Architecture(
            "mini-xception",
            mini_xception.build,
            mini_xception.INPUT,
            "A small Xception for 180×180 colour photographs.",
        ),
        Architecture(
            "pet-segmentation",
            pet_segmentation.build,
            pet_segmentation.INPUT,
            "A class for each pixel of 200×200 colour photographs.",
            task=TASK_SEGMENT,
        ),
        Architecture(
            "xception",
            published_base.build_xception,
            published_base.XCEPTION_INPUT,
            "Xception, for 299×299 colour photographs.",
        ),
        Architecture(
            "efficientnet-v2-b0",
            published_base.build_efficientnet_v2_b0,
            published_base.EFFICIENTNET_V2_B0_INPUT,
            "EfficientNetV2-B0, for 224×224 colour photographs.",
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
