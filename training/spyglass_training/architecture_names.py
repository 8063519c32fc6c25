"""The architectures by name, with one sentence each. Needs no Keras."""

from __future__ import annotations

SUMMARIES = {
    "lenet5": "LeNet-5, the first convnet in wide use.",
    "simple-cnn": "The smallest convnet: one convolution.",
    "mnist-convnet": "A small convnet for digits, white on black.",
    "mnist-convnet-functional": "A small convnet for digits, without a hidden Dense layer.",
    "mnist-convnet-no-pooling": "mnist-convnet-functional without poolings, for comparison.",
    "cats-dogs-convnet": "A plain convnet for small photographs.",
    "vgg16-features": "A Dense head on the frozen convolutions of VGG16.",
    "vgg16-finetune": "VGG16 with a Dense head, its last block fine-tuned.",
    "small-resnet": "Three residual blocks.",
    "mini-xception": "A small Xception.",
    "pet-segmentation": "A class for each pixel, by strided and transposed convolutions.",
    "xception": "Xception: separable convolutions and residuals.",
    "efficientnet-v2-b0": "EfficientNetV2-B0: fused and plain inverted bottlenecks.",
    "efficientnet-lite0": "EfficientNet-Lite0: inverted bottlenecks, made for small devices.",
}


def listed() -> str:
    """Return one line for each architecture."""
    return "\n".join(f"  {name}: {summary}" for name, summary in SUMMARIES.items())
