"""Small files whose headers declare more pixels than any limit allows."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from plain_images import encode_image


@pytest.fixture(scope="session")
def png_chunk() -> Callable[[bytes, bytes], bytes]:
    """Return a chunk of a PNG with its length and checksum: `png_chunk(b"IDAT", data)`."""
    return _png_chunk


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def _png_bomb() -> bytes:
    header = struct.pack(">LLBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(bytes(60_000)))
    return b"\x89PNG\r\n\x1a\n" + chunks + _png_chunk(b"IEND", b"")


def _gif_bomb(screen: int, frame: int) -> bytes:
    palette = bytes([0, 0, 0, 255, 255, 255])
    descriptor = b"," + struct.pack("<HHHHB", 0, 0, frame, frame, 0)
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", screen, screen, 0x80, 0, 0)
        + palette
        + descriptor
        + b"\2\2\x4c\1\0;"
    )


def _bmp_bomb(height: int) -> bytes:
    header = struct.pack("<LllHHLLllLL", 40, 60_000, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", 54 + 8, 0, 0, 54) + header + bytes(8)


def _tiff_bomb() -> bytes:
    entries = [(256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (278, 60_000), (279, 8)]
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + directory + bytes(4)


def _webp_bomb(kind: bytes, header: bytes) -> bytes:
    chunk = kind + struct.pack("<L", len(header)) + header
    return b"RIFF" + struct.pack("<L", 4 + len(chunk)) + b"WEBP" + chunk


def _webp_of_81_megapixels() -> bytes:
    """A file with few enough pixels for Pillow, which takes 600 MB to open it."""
    data = encode_image(Image.new("RGB", (16, 16)), "WEBP", lossless=True)
    side = 9000 - 1
    return data[:21] + struct.pack("<L", side | side << 14) + data[25:]


def _jpeg_bomb() -> bytes:
    data = encode_image(Image.new("RGB", (16, 16)), "JPEG")
    size = data.index(b"\xff\xc0") + 5
    return data[:size] + struct.pack(">HH", 65_500, 65_500) + data[size + 4 :]


# Files of a few dozen bytes. Their headers declare hundreds of megapixels and are otherwise valid.
BOMBS: dict[str, Callable[[], bytes]] = {
    "png": _png_bomb,
    "gif screen": lambda: _gif_bomb(65_535, 65_535),
    "gif frame": lambda: _gif_bomb(1, 65_535),
    "bmp": lambda: _bmp_bomb(60_000),
    "bmp top-down": lambda: _bmp_bomb(-60_000),
    "tiff": _tiff_bomb,
    "webp extended": lambda: _webp_bomb(b"VP8X", bytes(4) + b"\xff\x3f\0" * 2 + bytes(16)),
    "webp lossless": lambda: _webp_bomb(b"VP8L", b"\x2f" + struct.pack("<L", (1 << 28) - 1) + bytes(16)),
    "webp lossy": lambda: _webp_bomb(b"VP8 ", b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(16)),
    "webp valid": _webp_of_81_megapixels,
    "jpeg": _jpeg_bomb,
}


@pytest.fixture(scope="session")
def bombs() -> dict[str, bytes]:
    """Small files of every format whose headers declare more pixels than any limit allows, by name."""
    return {name: make() for name, make in BOMBS.items()}


@pytest.fixture(params=BOMBS)
def bomb(request: pytest.FixtureRequest, bombs: dict[str, bytes]) -> bytes:
    """One of the `bombs`; the test runs once for each."""
    return bombs[request.param]
