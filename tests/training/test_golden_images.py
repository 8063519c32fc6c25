"""The golden images cover the paths of decoding and resizing, in little space."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.geometry import jpeg_reduction, place
from spyglass_contract.images.pixels import DEFAULT_LIMITS, prepare
from spyglass_training.golden import MAX_TOTAL_BYTES, RECIPES, read_images, write_golden
from spyglass_training.models import efficientnet_lite0, mnist_convnet
from spyglass_training.models.parts.image_input import photograph

pytestmark = pytest.mark.training


@pytest.fixture
def photographs(tmp_path: Path, chelsea: bytes) -> Path:
    image, _ = decode(chelsea, DEFAULT_LIMITS)
    folder = tmp_path / "golden"
    write_golden([np.asarray(image)], efficientnet_lite0.INPUT, folder)
    return folder


def open_image(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def test_golden_images_have_every_format_that_is_read_and_many_sizes(photographs: Path) -> None:
    images = [open_image(path) for path in photographs.iterdir()]
    assert {image.format for image in images} == {"PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"}
    shorter = [min(image.size) for image in images]
    assert min(shorter) < 224 < max(shorter) and len(set(shorter)) >= 5
    assert sum(path.stat().st_size for path in photographs.iterdir()) <= MAX_TOTAL_BYTES


def test_one_golden_image_is_turned_upright_by_exif(photographs: Path) -> None:
    turned = open_image(photographs / "turned.jpg")
    upright, _ = decode((photographs / "turned.jpg").read_bytes(), DEFAULT_LIMITS)
    straight, _ = decode((photographs / "medium.webp").read_bytes(), DEFAULT_LIMITS)
    assert turned.width < turned.height and upright.width > upright.height
    same_size = np.asarray(straight.resize(upright.size), np.float64)
    assert np.abs(same_size - np.asarray(upright)).mean() < 8


@pytest.mark.parametrize("spec", [efficientnet_lite0.INPUT, mnist_convnet.INPUT], ids=["crop", "pad"])
def test_one_golden_image_is_decoded_at_a_reduced_scale(spec: InputSpec, tmp_path: Path) -> None:
    image = np.tile(np.arange(50, dtype=np.uint8)[:, np.newaxis, np.newaxis], (1, 60, 1))
    write_golden([image], spec, tmp_path / "golden")
    large = open_image(tmp_path / "golden/large.jpg")
    assert jpeg_reduction(place(*large.size, spec), spec.scaled_decode_margin) > 1


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(299, 299), (512, 512), (8, 9999)])
@pytest.mark.parametrize("kind", ["photograph", "noise"])
def test_golden_images_stay_small_for_any_input_and_image(
    tmp_path: Path, chelsea: bytes, kind: str, height: int, width: int
) -> None:
    spec = InputSpec()
    spec.CopyFrom(photograph(512))
    spec.height, spec.width = height, width
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    image = noise if kind == "noise" else np.asarray(decode(chelsea, DEFAULT_LIMITS)[0])
    write_golden([image], spec, tmp_path / "golden")
    files = {path.name: path.read_bytes() for path in (tmp_path / "golden").iterdir()}
    assert files.keys() == {recipe.name for recipe in RECIPES}
    assert sum(map(len, files.values())) <= MAX_TOTAL_BYTES
    for data in files.values():
        assert prepare(data, spec).pixels.shape == (height, width, 3)
    if height == 512:
        # They keep their purpose; only their detail is reduced.
        large, small = (open_image(tmp_path / f"golden/{name}") for name in ("large.jpg", "tiny.bmp"))
        assert jpeg_reduction(place(*large.size, spec), spec.scaled_decode_margin) > 1
        assert len(set(small.convert("L").tobytes())) > 20


def test_golden_images_of_a_resumed_run_are_written_again(photographs: Path, chelsea: bytes) -> None:
    before = {path.name: path.read_bytes() for path in photographs.iterdir()}
    (photographs / "large.jpg").write_bytes(b"half an image")
    write_golden([np.asarray(decode(chelsea, DEFAULT_LIMITS)[0])], efficientnet_lite0.INPUT, photographs)
    assert {path.name: path.read_bytes() for path in photographs.iterdir()} == before


def test_the_error_names_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    with pytest.raises(ImageError, match=r"torn\.jpg"):
        read_images(tmp_path)
