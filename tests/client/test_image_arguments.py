"""The types of image arguments."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.image_pb2 import Image as ImageMessage
from spyglass_client._images import image_message
from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits


def pixels_of(message: ImageMessage) -> np.ndarray:
    raw = message.raw
    return np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, raw.channels)


@pytest.mark.parametrize("as_path", [str, Path])
def test_the_file_of_a_path_is_sent_unchanged(
    as_path: Callable[[Path], str | Path], tmp_path: Path, chelsea: bytes
) -> None:
    (tmp_path / "cat.jpg").write_bytes(chelsea)
    assert image_message(as_path(tmp_path / "cat.jpg")).encoded == chelsea


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_sent_unchanged(kind: Callable[[bytes], bytes], chelsea: bytes) -> None:
    assert image_message(kind(chelsea)).encoded == chelsea


def test_empty_bytes_are_sent_and_left_to_the_server_to_refuse() -> None:
    assert image_message(b"").WhichOneof("source") == "encoded"


@pytest.mark.parametrize("path", ["missing.jpg", ".", "nul\0byte.jpg", "x" * 5000])
def test_a_file_that_cannot_be_read_is_an_image_error(path: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read") as caught:
        image_message(tmp_path / path)
    assert caught.value.reason == "IMAGE_UNREADABLE"


def test_a_file_larger_than_any_message_is_rejected_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "film.jpg").open("wb") as sparse:
        sparse.truncate(2**31)
    with pytest.raises(LimitExceeded, match="more than"):
        image_message(tmp_path / "film.jpg")


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4)])
def test_an_array_is_sent_row_by_row_with_its_shape(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    sent = image_message(array).raw
    assert (sent.height, sent.width, sent.channels) == (3, 5, shape[2] if len(shape) == 3 else 1)
    assert sent.data == array.tobytes()


def test_a_view_that_is_not_contiguous_is_sent_in_the_order_of_its_pixels() -> None:
    array = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)[::-1, ::2]
    np.testing.assert_array_equal(pixels_of(image_message(array)), array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_an_array_that_is_not_an_image_is_an_image_error(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="uint8") as caught:
        image_message(array)
    assert caught.value.reason == "IMAGE_SHAPE"


@pytest.mark.parametrize("image", [None, 7, ["a.jpg"]])
def test_a_value_of_another_type_is_a_type_error(image: object) -> None:
    with pytest.raises(TypeError, match="an image must be"):
        image_message(image)  # type: ignore[arg-type]


def test_a_pillow_image_is_sent_upright_and_without_loss(encode: Callable[..., bytes]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (6, 9, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encode(Image.fromarray(noise), "PNG", exif=exif)))
    np.testing.assert_array_equal(pixels_of(image_message(image)), np.rot90(noise, -1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK", "1", "I;16"])
def test_a_pillow_image_of_any_mode_is_sent_with_the_pixels_of_its_file(
    mode: str, encode: Callable[..., bytes]
) -> None:
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (5, 7, 4), np.uint8))
    # A single `convert` does not handle a palette with transparent colours or a depth of 16 bits.
    between = {"P": "RGB", "I;16": "I"}.get(mode, "RGBA")
    image = noise.convert(between).convert(mode)
    expected, _ = decode(encode(image, "TIFF"), Limits())
    sent = pixels_of(image_message(image))
    np.testing.assert_array_equal(np.broadcast_to(sent, (5, 7, 3)), np.asarray(expected))


def test_a_grey_pillow_image_stays_grey() -> None:
    assert image_message(Image.new("L", (4, 3), 9)).raw.channels == 1


def test_a_pillow_image_of_a_truncated_file_is_an_image_error(chelsea: bytes) -> None:
    with pytest.raises(ImageError, match="cannot be decoded"):
        image_message(Image.open(io.BytesIO(chelsea[:4000])))
