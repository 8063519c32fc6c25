"""The thousand classes of ImageNet."""

from __future__ import annotations

from importlib.resources import files


def class_names() -> tuple[str, ...]:
    """The names in the order of the network's outputs, from index 0, `tench`."""
    text = files("spyglass_training").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
