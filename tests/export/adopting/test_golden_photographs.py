"""Golden images from a folder: large ones are made smaller, and the model file stays small."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spyglass_contract.errors import InvalidInput
from spyglass_export.adopting.golden_images import MOST_BYTES, MOST_IMAGES, read_golden


def grain(width: int, height: int) -> Image.Image:
    """Noise, the most bytes that an image of this size can take."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize(("count", "size"), [(MOST_IMAGES, (400, 300)), (1, (3000, 40)), (1, (40, 9000))])
def test_large_images_become_small_enough_and_keep_their_shape(
    count: int, size: tuple[int, int], tmp_path: Path
) -> None:
    for index in range(count):
        grain(*size).save(tmp_path / f"{index}.png")
    golden = read_golden(tmp_path, 224, 224)
    assert len(golden) == count and sum(map(len, golden.values())) <= MOST_BYTES
    for encoded in golden.values():
        smaller = Image.open(BytesIO(encoded))
        assert max(smaller.size) > 100
        assert smaller.width / smaller.height == pytest.approx(size[0] / size[1], rel=0.1)


def test_small_images_stay_as_they_are_beside_a_large_one(tmp_path: Path) -> None:
    grain(40, 30).save(tmp_path / "small.png")
    grain(900, 900).save(tmp_path / "large.png")
    (tmp_path / ".DS_Store").write_bytes(b"no image")
    golden = read_golden(tmp_path, 64, 64)
    assert golden["small.png"] == (tmp_path / "small.png").read_bytes()
    assert list(golden) == ["large.png", "small.png"]


def test_a_photograph_is_turned_upright_before_it_is_made_smaller(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    grain(900, 300).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    (encoded,) = read_golden(tmp_path, 64, 64).values()
    smaller = Image.open(BytesIO(encoded))
    assert smaller.height > smaller.width and 274 not in smaller.getexif()


@pytest.mark.parametrize("size", [300_000, 30])
def test_a_file_that_is_no_image_is_rejected(size: int, tmp_path: Path) -> None:
    grain(40, 30).save(tmp_path / "image.png")
    (tmp_path / "video.mp4").write_bytes(bytes(size))
    with pytest.raises(InvalidInput, match=r"cannot read the golden image video\.mp4: .* must be an image"):
        read_golden(tmp_path, 64, 64)


@pytest.mark.parametrize("count", [0, MOST_IMAGES + 1])
def test_no_images_and_too_many_are_rejected(count: int, tmp_path: Path) -> None:
    for index in range(count):
        grain(4, 4).save(tmp_path / f"{index}.png")
    with pytest.raises(InvalidInput, match=f"must hold 1 to {MOST_IMAGES} images"):
        read_golden(tmp_path, 64, 64)


def test_the_command_says_which_images_it_made_smaller(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grain(600, 500).save(tmp_path / "golden/large.png")
    assert attach(classifier().write(tmp_path / "theirs.onnx"), "--scale", "1/255") == 0
    printed = capsys.readouterr()
    assert "large.png: the model file holds a smaller copy" in printed.err
    assert "3 golden images" in printed.out and "gradient.png: the" not in printed.err
