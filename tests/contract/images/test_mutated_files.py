"""Files of every format with a few changed bytes are decoded or refused, and print nothing."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image

from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits

Encode = Callable[..., bytes]

MUTATIONS = 3000
NUMBERS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xff\xff"]


@pytest.fixture(scope="module")
def files(encode: Encode) -> list[bytes]:
    image = Image.effect_noise((40, 30), 60).convert("RGB")
    palette, grey_alpha, rgba = image.convert("P"), image.convert("LA"), image.convert("RGBA")
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        encode(image, "JPEG", exif=turned),
        encode(image, "JPEG", progressive=True)[:-2],
        encode(image, "JPEG", restart_marker_blocks=2)[:-2],
        encode(image.convert("CMYK"), "JPEG"),
        encode(image, "PNG"),
        encode(palette, "PNG", transparency=3),
        encode(grey_alpha, "PNG"),
        encode(palette, "GIF", save_all=True, append_images=[palette.rotate(90)], transparency=1),
        encode(rgba, "WEBP", exif=turned),
        encode(image, "WEBP", lossless=True),
        encode(image, "WEBP", save_all=True, append_images=[image.rotate(90)]),
        encode(image, "BMP"),
        encode(palette, "BMP"),
        encode(image, "TIFF", exif=turned),
        encode(image, "TIFF", compression="tiff_lzw"),
        encode(image, "TIFF", compression="jpeg"),
        encode(palette, "TIFF", compression="packbits"),
        encode(image.convert("1"), "TIFF", compression="group3"),
        encode(image.convert("1"), "TIFF", compression="group4"),
    ]


def mutate(data: bytes, chance: random.Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        # Bytes in headers, and in the directory at the end of a TIFF, have the most effect.
        reach = min(len(mutated), chance.choice([40, 200, 1000, len(mutated)]))
        place = chance.randrange(reach)
        if chance.random() < 0.3:
            place = len(mutated) - 1 - place
        match chance.randrange(3):
            case 0:
                mutated[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
            case 1:
                del mutated[place : min(place + chance.randrange(1, 9), len(mutated) - 1)]
            case _:
                mutated[place : place + 4] = chance.choice(NUMBERS)
    return bytes(mutated)


def test_a_mutated_file_is_decoded_or_refused(files: list[bytes], capfd: pytest.CaptureFixture[str]) -> None:
    """Another error, a warning, or a line on standard error fails the test."""
    chance = random.Random(5)
    outcomes: Counter[str] = Counter()
    # Not as errors: those raised inside Pillow would count as its refusals.
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(MUTATIONS):
            try:
                decode(mutate(chance.choice(files), chance), Limits())
                outcomes["decoded"] += 1
            except SpyglassError as error:
                assert error.field == "image"
                assert "/" not in error.message
                outcomes[error.reason] += 1

    assert outcomes["decoded"] > MUTATIONS // 20
    assert outcomes["IMAGE_CORRUPT"] > MUTATIONS // 20
    assert warned == []
    assert capfd.readouterr().err == ""
