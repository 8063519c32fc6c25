"""GIF files: blocks, extensions and clear codes."""

from __future__ import annotations

import struct

from PIL import Image

from hostile.making import SIDE, Files, encode, fill


def gif(before: bytes, pixels: bytes, side: int = 8, flags: int = 0) -> bytes:
    start = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return start + before + b"," + struct.pack("<HHHHB", 0, 0, side, side, flags) + pixels


def gifs() -> Files:
    large = encode(Image.new("P", (SIDE, SIDE), 1), "GIF")
    end = b"\2\2\x4c\1\0;"
    yield "GIF: one-byte comment blocks", lambda size: gif(b"!\xfe" + fill(b"\1a", size - 60) + b"\0", end)
    yield "GIF: empty extensions", lambda size: gif(fill(b"!\xfe\0", size - 60), end)
    yield "GIF: zeros between blocks", lambda size: gif(bytes(size - 60), end)
    yield (
        "GIF: one-byte blocks of pixels",
        lambda size: gif(b"", b"\2" + fill(b"\1\4", size - 60) + b"\0;", 4096),
    )
    yield (
        "GIF: clear codes",
        lambda size: gif(b"", b"\2" + fill(b"\xff" + b"\x24" * 255, size) + b"\0;", 4096),
    )
    yield "GIF: flat, 64 megapixels", lambda size: large
    yield (
        "GIF: transparent, 64 megapixels",
        lambda size: encode(Image.new("P", (SIDE, SIDE), 1), "GIF", transparency=1, interlace=1),
    )
