"""The server rejects bad images with the right code, and classifies the next image."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from spyglass.v1.image_pb2 import Image, RawImage

INVALID, RANGE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE

Files = dict[str, bytes]
Make = Callable[[Files], bytes]

NOT_IMAGES: dict[str, tuple[bytes, str]] = {
    "zero bytes": (b"", "IMAGE_EMPTY"),
    "one byte": (b"\xff", "IMAGE_UNRECOGNISED"),
    "zeros": (bytes(10_000), "IMAGE_UNRECOGNISED"),
    "random bytes": (random.Random(1).randbytes(10_000), "IMAGE_UNRECOGNISED"),
    "text": (b"There is no image here.", "IMAGE_UNRECOGNISED"),
    "JSON": (b'{"image": "cat.jpg"}', "IMAGE_UNRECOGNISED"),
    "base64 of a JPEG": (b"/9j/4AAQSkZJRgABAQAAAQABAAD", "IMAGE_UNRECOGNISED"),
    "HTML": (b"<!DOCTYPE html><html><body>404</body></html>", "IMAGE_FORMAT_NOT_ALLOWED"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9'/>", "IMAGE_FORMAT_NOT_ALLOWED"),
    "PDF": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj", "IMAGE_FORMAT_NOT_ALLOWED"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "IMAGE_FORMAT_NOT_ALLOWED"),
    "AVIF": (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf", "IMAGE_FORMAT_NOT_ALLOWED"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "IMAGE_FORMAT_NOT_ALLOWED"),
    "video": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "IMAGE_FORMAT_NOT_ALLOWED"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", "IMAGE_FORMAT_NOT_ALLOWED"),
    "PPM": (b"P6\n2 2\n255\n" + bytes(12), "IMAGE_FORMAT_NOT_ALLOWED"),
    "ICO": (b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\0\0\0\0\x16\0\0\0", "IMAGE_FORMAT_NOT_ALLOWED"),
    "PSD": (b"8BPS\0\1" + bytes(20), "IMAGE_FORMAT_NOT_ALLOWED"),
    "ZIP": (b"PK\3\4" + bytes(30), "IMAGE_FORMAT_NOT_ALLOWED"),
    "audio": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(20), "IMAGE_UNRECOGNISED"),
    "pickle": (b"\x80\4cos\nsystem\n", "IMAGE_UNRECOGNISED"),
}


def cut(name: str, kept: float) -> Make:
    """Keep the first part of the file; `kept` is a fraction of its length."""
    return lambda files: files[name][: int(len(files[name]) * kept)]


def overwrite(name: str, place: float, content: bytes) -> Make:
    """Overwrite the file with `content` at `place`, a fraction of its length."""

    def make(files: Files) -> bytes:
        data = bytearray(files[name])
        start = int(len(data) * place)
        data[start : start + len(content)] = content
        return bytes(data)

    return make


def jpeg_with_size(width: int, height: int) -> Make:
    def make(files: Files) -> bytes:
        data = files["jpeg"]
        place = data.index(b"\xff\xc0") + 5
        return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]

    return make


def bmp(width: int, height: int, size: int = 54) -> Make:
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return lambda files: b"BM" + struct.pack("<LHHL", size, 0, 0, size) + header


def tiff(entries: bytes, count: int, following: int = 0) -> Make:
    return lambda files: b"II*\0" + struct.pack("<LH", 8, count) + entries + struct.pack("<L", following)


BROKEN: dict[str, Make] = {
    "JPEG cut in its magic number": cut("jpeg", 0.005),
    "JPEG cut in its header": cut("jpeg", 0.1),
    "JPEG cut in its first rows": cut("jpeg", 0.3),
    "JPEG cut in the middle": cut("jpeg", 0.6),
    "JPEG cut before its end": cut("jpeg", 0.97),
    "progressive JPEG cut in its first scan": cut("progressive", 0.35),
    "progressive JPEG cut in a later scan": cut("progressive", 0.9),
    "JPEG without a scan": lambda files: files["jpeg"][: files["jpeg"].index(b"\xff\xda")] + b"\xff\xd9",
    "JPEG without tables": lambda files: b"\xff\xd8" + files["jpeg"][files["jpeg"].index(b"\xff\xc0") :],
    "JPEG with a segment that is longer than the file": lambda files: b"\xff\xd8\xff\xe0\xff\xff" + bytes(9),
    "JPEG with only its start and end markers": lambda files: b"\xff\xd8\xff\xd9",
    "JPEG of height 0": jpeg_with_size(120, 0),
    "JPEG of width 0": jpeg_with_size(0, 80),
    "PNG cut in its header": cut("png", 0.0005),
    "PNG cut in the middle": cut("png", 0.5),
    "PNG with a bad checksum in its header": overwrite(
        "png", 0.0, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x79"
    ),
    "PNG with garbage in its stream": overwrite("png", 0.5, b"\xa5" * 200),
    "PNG of width 0": lambda files: files["png"].replace(b"\0\0\0\x78\0\0\0\x50", b"\0\0\0\0\0\0\0\x50", 1),
    "PNG without data": lambda files: files["png"][:33] + b"\0\0\0\0IEND\xaeB`\x82",
    "GIF cut in its palette": cut("gif", 0.02),
    "GIF cut in the middle": cut("gif", 0.5),
    "GIF without a frame": lambda files: b"GIF89a\x05\0\x05\0\0\0\0;",
    "WebP cut in its header": cut("webp", 0.01),
    "WebP cut in the middle": cut("webp", 0.5),
    "lossless WebP cut in the middle": cut("lossless", 0.5),
    "lossless WebP with garbage in its stream": overwrite("lossless", 0.2, b"\xff" * 300),
    "WebP without a chunk": lambda files: b"RIFF\4\0\0\0WEBP",
    "BMP cut in the middle": cut("bmp", 0.5),
    "BMP of height 0": bmp(100, 0),
    "BMP without pixels": bmp(100, 100),
    "BMP whose pixels start after its end": bmp(100, 100, 2**31),
    "TIFF cut in the middle": cut("lzw", 0.5),
    "TIFF without a directory": lambda files: b"II*\0\xff\xff\xff\xff",
    "TIFF with an empty directory": tiff(b"", 0),
    "TIFF with a truncated directory": tiff(b"\0\1\3\0", 2000),
    "TIFF whose directory points to itself": tiff(b"\0\1\3\0\1\0\0\0\5\0\0\0", 1, following=8),
    "TIFF with garbage in its stream": overwrite("lzw", 0.01, b"\xff" * 3000),
}

HUGE: dict[str, Make] = {
    "JPEG of 65,000 x 65,000": jpeg_with_size(65_000, 65_000),
    "BMP of 100,000 x 100,000": bmp(100_000, 100_000),
    # As an unsigned number the width is about 4,000,000,000.
    "BMP of negative width": bmp(-100, 100),
    "33 MB": lambda files: bytes(33 * 1024 * 1024 + 1),
}

# Damaged files that every viewer shows: decoders fill in the missing data without an error.
SHOWN: dict[str, Make] = {
    "JPEG with fewer rows than its header declares": jpeg_with_size(120, 160),
    "JPEG with garbage in its scan": overwrite("jpeg", 0.6, b"\xa5" * 50),
    "PNG without its last chunk": lambda files: files["png"][:-12],
    "GIF without its trailer": lambda files: files["gif"][:-1],
}

RAW: dict[str, RawImage] = {
    "no pixels": RawImage(),
    "size without data": RawImage(height=10, width=10, channels=3),
    "data without size": RawImage(data=bytes(300)),
    "one byte too few": RawImage(height=10, width=10, channels=3, data=bytes(299)),
    "one byte too many": RawImage(height=10, width=10, channels=3, data=bytes(301)),
    "two channels": RawImage(height=10, width=10, channels=2, data=bytes(200)),
    "five channels": RawImage(height=10, width=10, channels=5, data=bytes(500)),
    "a size whose product overflows": RawImage(height=2**31, width=2**31, channels=4, data=bytes(16)),
}


@pytest.fixture(autouse=True)
def the_server_classifies_the_next_image(service: Any, chelsea: bytes) -> Any:
    """After each test, check that the server classifies a valid image."""
    yield
    assert len(service.classify(chelsea).classes) == 5


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_a_file_that_is_not_an_image_is_rejected(service: Any, name: str) -> None:
    data, reason = NOT_IMAGES[name]

    assert service.outcome(data) == (INVALID, reason)


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_image_is_rejected(service: Any, cat_files: Files, name: str) -> None:
    code, reason = service.outcome(BROKEN[name](cat_files))

    assert code is INVALID
    assert reason in ("IMAGE_CORRUPT", "IMAGE_TRUNCATED", "IMAGE_UNRECOGNISED")


@pytest.mark.parametrize("name", HUGE)
def test_an_image_that_is_too_large_is_rejected(service: Any, cat_files: Files, name: str) -> None:
    assert service.outcome(HUGE[name](cat_files))[0] is RANGE


def test_a_decompression_bomb_is_rejected(service: Any, bomb: bytes) -> None:
    assert service.outcome(bomb) == (RANGE, "IMAGE_TOO_MANY_PIXELS")


@pytest.mark.parametrize("name", RAW)
def test_raw_pixels_with_an_invalid_shape_are_rejected(service: Any, name: str) -> None:
    assert service.outcome(Image(raw=RAW[name])) == (INVALID, "IMAGE_SHAPE")


def test_a_request_without_an_image_is_rejected(service: Any) -> None:
    assert service.outcome(Image()) == (INVALID, "IMAGE_MISSING")


@pytest.mark.slow
def test_the_transport_rejects_a_message_that_is_far_too_large(service: Any) -> None:
    assert service.outcome(bytes(70 * 1024 * 1024))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("name", SHOWN)
def test_a_damaged_image_that_viewers_show_is_classified(service: Any, cat_files: Files, name: str) -> None:
    assert service.outcome(SHOWN[name](cat_files))[0] is grpc.StatusCode.OK


def test_bytes_after_the_end_of_an_image_are_ignored(service: Any, cat_files: Files) -> None:
    for data in cat_files.values():
        assert service.outcome(data)[0] is grpc.StatusCode.OK
        assert service.outcome(data + b"\0\0trailing")[0] is grpc.StatusCode.OK
