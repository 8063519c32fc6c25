"""Files that are decoded, formats that are rejected by name, and errors for broken files."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from PIL import Image

from spyglass_contract.errors import ImageError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits, sniff

Encode = Callable[..., bytes]

KINDS = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "lossy WEBP": ("WEBP", {}),
    "lossless WEBP": ("WEBP", {"lossless": True}),
    "BMP": ("BMP", {}),
    "GIF": ("GIF", {}),
    "TIFF": ("TIFF", {}),
    "deflated TIFF": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}


@pytest.fixture(params=KINDS)
def image(
    request: pytest.FixtureRequest, photograph: Callable[[int, int], Image.Image], encode: Encode
) -> bytes:
    """A photograph of 120 × 80 pixels in each format that is read."""
    image_format, options = KINDS[request.param]
    return encode(photograph(120, 80), image_format, **options)


def refusal(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as raised:
        decode(data, Limits())
    return raised.value


def test_every_format_is_decoded(image: bytes) -> None:
    assert decode(image, Limits())[0].size == (120, 80)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kept", [0.01, 0.1, 0.5, 0.95])
def test_a_file_that_is_cut_off_anywhere_is_rejected(image: bytes, kept: float) -> None:
    assert refusal(image[: int(len(image) * kept)]).field == "image"


@pytest.mark.parametrize(
    "kind", ["JPEG", "progressive JPEG", "PNG", "lossy WEBP", "lossless WEBP", "BMP", "GIF", "TIFF"]
)
def test_half_a_file_is_reported_as_cut_off(
    photograph: Callable[[int, int], Image.Image], encode: Encode, kind: str
) -> None:
    image_format, options = KINDS[kind]
    whole = encode(photograph(120, 80), image_format, **options)

    error = refusal(whole[: len(whole) // 2])

    assert (error.reason, error.message) == ("IMAGE_TRUNCATED", f"the {image_format} is cut off")


def test_a_png_with_a_broken_stream_is_reported_as_corrupt(
    photograph: Callable[[int, int], Image.Image], encode: Encode
) -> None:
    data = bytearray(encode(photograph(120, 80)))
    data[len(data) // 2 : len(data) // 2 + 64] = b"\xa5" * 64

    assert refusal(bytes(data)).reason == "IMAGE_CORRUPT"


def test_the_format_is_found_by_the_first_bytes(encode: Encode) -> None:
    assert sniff(encode(Image.new("RGB", (4, 4)), "GIF")) == "GIF"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1", "a PostScript document"),
        (b"\0\0\x01\0\x01\0" + bytes(32), "an icon (ICO)"),
        (b"8BPS\0\1" + bytes(32), "a Photoshop document"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51" + bytes(16), "JPEG 2000"),
        (b"\xff\x0a" + bytes(16), "JPEG XL"),
        (b"\0\0\0\x20ftypavif" + bytes(16), "AVIF"),
        (b"\0\0\0\x20ftypheic" + bytes(16), "HEIC"),
        (b"\0\0\0\x20ftypisom" + bytes(16), "a video or HEIF file"),
        (b"II+\0\x08\0\0\0" + bytes(8), "BigTIFF"),
        (b"P6\n2 2\n255\n" + bytes(12), "a portable bitmap (PNM)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", "SVG"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><html></html>", "an HTML page"),
        (b"PK\x03\x04" + bytes(26), "a zip archive"),
        (b"\x1f\x8b\x08" + bytes(16), "a gzip archive"),
    ],
)
def test_a_format_that_is_not_read_is_rejected_by_its_name(data: bytes, found: str) -> None:
    error = refusal(data)

    assert error.reason == "IMAGE_FORMAT_NOT_ALLOWED"
    assert error.message == f"the file is {found}; expected JPEG, PNG, WebP, BMP, GIF or TIFF"


@pytest.mark.parametrize(
    "data", [b"hello", b"\0" * 100, b"\xff\xd8", b"RIFF\x24\0\0\0WAVEfmt ", b"<note>", b"\x89PNG", b"{}"]
)
def test_a_file_that_is_not_an_image_is_rejected(data: bytes) -> None:
    assert refusal(data).reason == "IMAGE_UNRECOGNISED"


def test_a_file_without_bytes_is_rejected() -> None:
    assert refusal(b"").reason == "IMAGE_EMPTY"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "first_bytes",
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"RIFF\x10\0\0\0WEBP",
        b"RIFF\x10\0\0\0WEBPVP8 ",
    ],
)
@pytest.mark.parametrize("tail", [b"", bytes(64), b"\1" * 64], ids=["nothing", "zeros", "ones"])
def test_the_first_bytes_alone_are_reported_as_corrupt_or_cut_off(first_bytes: bytes, tail: bytes) -> None:
    assert refusal(first_bytes + tail).reason in ("IMAGE_CORRUPT", "IMAGE_TRUNCATED")


def test_a_bmp_of_zero_width_is_reported_as_corrupt() -> None:
    header = struct.pack("<LllHHLLllLL", 40, 0, 10, 1, 24, 0, 0, 0, 0, 0, 0)

    assert refusal(b"BM" + struct.pack("<LHHL", 54, 0, 0, 54) + header).reason == "IMAGE_CORRUPT"


def test_no_message_holds_a_path_or_an_address_of_the_server(image: bytes) -> None:
    message = refusal(image[: len(image) // 3]).message

    assert "/" not in message
    assert "0x" not in message
    assert len(message) < 100
