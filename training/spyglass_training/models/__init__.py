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
            "LeNet-5, the first convnet in wide use.",
        ),
        Architecture(
            "simple-cnn",
            simple_cnn.build,
            simple_cnn.INPUT,
            "The least that is a convnet: one convolution.",
        ),
        Architecture(
            "mnist-convnet",
            mnist_convnet.build,
            mnist_convnet.INPUT,
            "A small convnet for digits, white on black.",
        ),
        Architecture(
            "mnist-convnet-functional",
            mnist_convnet_functional.build,
            mnist_convnet_functional.INPUT,
            "A small convnet for digits, without a hidden Dense layer.",
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
            "A plain convnet for small photographs.",
        ),
        Architecture(
            "vgg16-features",
            vgg16.build_features,
            vgg16.INPUT,
            "A Dense head on the frozen convolutions of VGG16.",
            cached_layer=vgg16.FEATURES,
        ),
        Architecture(
            "vgg16-finetune",
            vgg16.build_finetune,
            vgg16.INPUT,
            "VGG16 with a Dense head, its last block fine-tuned.",
            fine_tuned_layers=vgg16.LAST_BLOCK,
        ),
        Architecture(
            "small-resnet",
            small_resnet.build,
            small_resnet.INPUT,
            "Three residual blocks.",
        ),
        Architecture(
            "mini-xception",
            mini_xception.build,
            mini_xception.INPUT,
            "A small Xception.",
        ),
        Architecture(
            "pet-segmentation",
            pet_segmentation.build,
            pet_segmentation.INPUT,
            "A class for each pixel, by strided and transposed convolutions.",
            task=TASK_SEGMENT,
        ),
        Architecture(
            "xception",
            published_base.build_xception,
            published_base.XCEPTION_INPUT,
            "Xception: separable convolutions and residuals.",
        ),
        Architecture(
            "efficientnet-v2-b0",
            published_base.build_efficientnet_v2_b0,
            published_base.EFFICIENTNET_V2_B0_INPUT,
            "EfficientNetV2-B0: fused and plain inverted bottlenecks.",
        ),
        Architecture(
            "efficientnet-lite0",
            efficientnet_lite0.build,
            efficientnet_lite0.INPUT,
            "EfficientNet-Lite0: inverted bottlenecks, made for small devices.",
        ),
    )
}


def find_architecture(name: str) -> Architecture:
    """The architecture of that name. Raises NotFound, which tells the names there are."""
    if name not in ARCHITECTURES:
        known = "\n".join(f"  {each.name}: {each.summary}" for each in ARCHITECTURES.values())
        raise NotFound(
            f"no architecture is named {name!r}; there are\n{known}", reason="ARCHITECTURE_NOT_FOUND"
        )
    return ARCHITECTURES[name]
