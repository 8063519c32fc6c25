"""ImageNet: its thousand classes, and the mean and deviation of its pixels."""

from __future__ import annotations

from importlib.resources import files

# Red, green and blue, of values in 0 to 1, as torchvision and Keras have them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def class_names() -> tuple[str, ...]:
    """Return the names in the order of the network's outputs; index 0 is `tench`."""
    text = files("spyglass_training.weights").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
