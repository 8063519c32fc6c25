"""BMP files: runs, palettes and few bits."""

from __future__ import annotations

import struct

from hostile.making import SIDE, Files, fill


def bmp(width: int, height: int, bits: int, compression: int, rows: bytes, colors: int = 0) -> bytes:
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, compression, 0, 0, 0, colors, 0)
    palette = fill(bytes([1, 2, 3, 0]), 4 * colors)
    start = 54 + len(palette)
    return b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + header + palette + rows


def bmps() -> Files:
    run = b"\1\1"
    yield "BMP: runs that add no pixel", lambda size: bmp(2, 60_000, 8, 1, fill(run, 2**22 - 10), 256)
    yield "BMP: runs of one pixel", lambda size: bmp(2048, 2048, 8, 1, (run * 2048 + b"\0\0") * 1023, 256)
    yield "BMP: runs of one pixel, 32 MiB", lambda size: bmp(2048, 2048, 8, 1, fill(run, size - 2000), 256)
    yield (
        "BMP: RLE4 runs, 4 megapixels",
        lambda size: bmp(2048, 2048, 4, 2, (b"\xff\x12" * 8 + b"\x08\x12\0\0") * 2048, 16),
    )
    yield "BMP: ends of lines, 4 megapixels", lambda size: bmp(65_500, 64, 8, 1, (run + b"\0\0") * 64, 256)
    yield "BMP: palette of 65,536 colours", lambda size: bmp(8, 8, 8, 0, bytes(64), 65_536)
    yield "BMP: 1 bit, 64 megapixels", lambda size: bmp(SIDE, SIDE, 1, 0, bytes(SIDE * SIDE // 8), 2)
    yield "BMP: 8 bits, 32 megapixels", lambda size: bmp(8000, 4000, 8, 0, bytes(32_000_000), 256)
