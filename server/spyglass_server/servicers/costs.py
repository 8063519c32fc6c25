"""What a request costs its caller: its images, and their megapixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.header import Limits, read_container
from spyglass_contract.images.message import ImageData, image_data


class Cost(Protocol):
    """Returns the images of a request, at least 1, and their megapixels; without `pixels` they are 0."""

    def __call__(self, request: Any, limits: Limits, /, *, pixels: bool) -> tuple[int, float]: ...


def cost_of_image(request: Any, limits: Limits, *, pixels: bool) -> tuple[int, float]:
    """Return the cost of a request with one `image`."""
    if not pixels:
        return 1, 0.0
    try:
        return 1, megapixels([image_data(request.image)], limits)
    # The request fails with this error when its turn comes.
    except SpyglassError:
        return 1, 0.0


def megapixels(images: Iterable[ImageData], limits: Limits) -> float:
    """Return the megapixels of images, by their headers; one that is no image has none."""
    return sum(_pixels(image, limits) for image in images) / 1e6


def _pixels(image: ImageData, limits: Limits) -> int:
    if not isinstance(image, bytes):
        return int(image.shape[0] * image.shape[1])
    try:
        container = read_container(image, limits)
    # The request fails with this error when its turn comes.
    except SpyglassError:
        return 0
    return container.width * container.height
