"""The first frame of an animation and the first page of a TIFF are decoded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("GIF", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
    ids=["gif", "apng", "webp", "tiff", "tiff-lzw"],
)
def test_the_first_of_several_images_is_decoded(
    encode: Callable[..., bytes], image_format: str, options: dict[str, object]
) -> None:
    first, second = Image.new("RGB", (6, 4), RED), Image.new("RGB", (6, 4), BLUE)

    data = encode(first, image_format, save_all=True, append_images=[second], **options)

    image, frame = decode(data, Limits())
    assert (frame.width, frame.height) == (6, 4)
    assert (np.asarray(image) == RED).all()


def test_the_first_of_several_images_in_a_jpeg_is_decoded(encode: Callable[..., bytes]) -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)

    data = encode(first, "MPO", save_all=True, append_images=[second], quality=100)

    np.testing.assert_allclose(np.asarray(decode(data, Limits())[0])[0, 0], RED, atol=3)
