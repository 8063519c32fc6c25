"""PNG files: chunks, deflated text, interlacing and 16 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from PIL import Image

from hostile.making import SIDE, Files, dense, encode, fill, noise


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))


def png(
    width: int, height: int, depth: int, color: int, rows: bytes, extra: bytes = b"", *, interlace: int = 0
) -> bytes:
    header = struct.pack(">LLBBBBB", width, height, depth, color, 0, 0, interlace)
    pixels = chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


def deflated(row: bytes, rows: int) -> bytes:
    compressor = zlib.compressobj(1)
    return b"".join(compressor.compress(row) for _ in range(rows)) + compressor.flush()


def large_png(depth: int, color: int, filter_type: int, extra: bytes = b"") -> Callable[[int], bytes]:
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = bytes([filter_type]) + bytes([3, 5, 250, 7] * (SIDE * samples * depth // 32))
    return lambda size: png(SIDE, SIDE, depth, color, deflated(row, SIDE), extra)


def interlaced_png(depth: int, color: int, samples: int) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        compressor = zlib.compressobj(1)
        parts = []
        for x, y, step_x, step_y in (
            (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
        ):  # fmt: skip
            columns, rows = (SIDE - x + step_x - 1) // step_x, (SIDE - y + step_y - 1) // step_y
            row = b"\4" + bytes([3]) * (columns * samples * depth // 8)
            parts += [compressor.compress(row) for _ in range(rows)]
        return png(SIDE, SIDE, depth, color, b"".join(parts) + compressor.flush(), interlace=1)

    return make


def in_png(unit: bytes, *, after: bool = False) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        data = encode(Image.new("RGB", (8, 8)), "PNG")
        at = data.index(b"IEND" if after else b"IDAT") - 4
        return data[:at] + fill(unit, size - len(data)) + data[at:]

    return make


def text_bomb(kind: bytes) -> bytes:
    start = b"k\0\0" if kind == b"zTXt" else b"k\0\1\0\0\0"
    return chunk(kind, start + zlib.compress(bytes(1_000_000)))


def pngs() -> Files:
    yield "PNG: empty chunks before the pixels", in_png(chunk(b"teSt", b""))
    yield "PNG: empty chunks after the pixels", in_png(chunk(b"teSt", b""), after=True)
    yield "PNG: empty pixel chunks", in_png(chunk(b"IDAT", b""))
    yield (
        "PNG: one-byte pixel chunks",
        lambda size: b"".join(
            (png(8, 8, 8, 2, b"")[:33], *(chunk(b"IDAT", b"x"),) * (size // 13), chunk(b"IEND", b""))
        ),
    )
    yield "PNG: deflated texts (zTXt)", in_png(text_bomb(b"zTXt"))
    yield "PNG: deflated texts (iTXt) after the pixels", in_png(text_bomb(b"iTXt"), after=True)
    yield "PNG: deflated profiles", in_png(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1_000_000))))
    yield "PNG: animation controls", in_png(chunk(b"fcTL", bytes(26)), after=True)
    yield (
        "PNG: deflate blocks without content",
        lambda size: png(8, 8, 8, 2, b"\x78\x01" + fill(b"\0\0\0\xff\xff", size - 100)),
    )
    yield "PNG: RGB, 64 megapixels", large_png(8, 2, 4)
    yield "PNG: RGBA, 64 megapixels", large_png(8, 6, 4)
    yield "PNG: RGBA of 16 bits, 64 megapixels", large_png(16, 6, 4)
    yield "PNG: RGB of 16 bits, 64 megapixels", large_png(16, 2, 4)
    yield "PNG: grey of 16 bits, 64 megapixels", large_png(16, 0, 4)
    yield "PNG: grey of 16 bits with a transparent value", large_png(16, 0, 4, chunk(b"tRNS", b"\0\1"))
    yield "PNG: grey of 1 bit, 64 megapixels", large_png(1, 0, 4)
    yield "PNG: RGB with a transparent colour", large_png(8, 2, 4, chunk(b"tRNS", bytes(6)))
    yield (
        "PNG: palette with alpha, 64 megapixels",
        large_png(8, 3, 0, chunk(b"PLTE", bytes(range(256)) * 3) + chunk(b"tRNS", bytes(range(256)))),
    )
    yield "PNG: interlaced RGB, 64 megapixels", interlaced_png(8, 2, 3)
    yield "PNG: interlaced RGBA of 16 bits, 64 megapixels", interlaced_png(16, 6, 4)
    yield "PNG: dense, 64 megapixels", lambda size: encode(dense(1), "PNG", compress_level=1)
    yield "PNG: noise, 10 megapixels", lambda size: encode(noise(3200), "PNG", compress_level=1)
