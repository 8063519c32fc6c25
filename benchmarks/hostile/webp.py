"""WebP files: chunks, lossless and lossy pixels."""

from __future__ import annotations

import struct
from collections.abc import Callable

from PIL import Image

from hostile.making import SIDE, Files, dense, encode, fill, noise


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<L", len(content)) + content + b"\0" * (len(content) % 2)


def in_webp(unit: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        canvas = riff_chunk(b"VP8X", b"\x08\0\0\0" + b"\x07\0\0\x07\0\0")
        pixels = encode(Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
        return riff(canvas, fill(unit, size - 200), pixels)

    return make


def webps() -> Files:
    yield "WebP: empty chunks", in_webp(riff_chunk(b"teSt", b""))
    yield "WebP: metadata chunks", in_webp(riff_chunk(b"EXIF", b"II*\0\x08\0\0\0\0\0"))
    yield (
        "WebP: flat, 64 megapixels",
        lambda size: encode(Image.new("RGB", (SIDE, SIDE)), "WEBP", method=0, quality=50),
    )
    yield (
        "WebP: lossless, 64 megapixels",
        lambda size: encode(Image.new("RGB", (SIDE, SIDE)), "WEBP", lossless=True, method=0),
    )
    yield (
        "WebP: transparent, 64 megapixels",
        lambda size: encode(Image.new("RGBA", (SIDE, SIDE), (9, 8, 7, 100)), "WEBP", method=0, quality=50),
    )
    yield (
        "WebP: lossless noise, 9 megapixels",
        lambda size: encode(noise(3000), "WEBP", lossless=True, method=0, quality=0),
    )
    yield "WebP: lossy noise, 16 megapixels", lambda size: encode(noise(4096), "WEBP", method=0, quality=60)
    yield (
        "WebP: lossless, dense, 64 megapixels",
        lambda size: encode(dense(2), "WEBP", lossless=True, method=0, quality=0),
    )
    yield (
        "WebP: lossless, dense, transparent, 64 megapixels",
        lambda size: encode(
            Image.merge("RGBA", [*dense(1).split(), dense(1).getchannel("R")]),
            "WEBP",
            lossless=True,
            method=0,
            quality=0,
        ),
    )
    yield (
        "WebP: lossy, dense, 64 megapixels, more",
        lambda size: encode(dense(4), "WEBP", method=0, quality=55),
    )
    yield "WebP: lossy, dense, 64 megapixels", lambda size: encode(dense(3), "WEBP", method=0, quality=30)
    yield (
        "WebP: 200 frames",
        lambda size: encode(
            Image.new("RGB", (512, 512)),
            "WEBP",
            save_all=True,
            append_images=[Image.new("RGB", (512, 512), (n, 0, 0)) for n in range(200)],
            method=0,
        ),
    )
