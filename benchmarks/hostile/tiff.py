"""TIFF files: strips, tiles, planes and every compression."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from hostile.jpeg import small_jpeg
from hostile.making import SIDE, Files, dense, encode, fill, noise


def tiff(entries: dict[int, tuple[int, ...]], data: bytes) -> bytes:
    fields, lists = [], []
    start = 8 + len(data) + len(data) % 2
    after = start + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        content = struct.pack(f"<{len(values)}L", *values)
        if len(content) > 4:
            fields.append(struct.pack("<HHLL", tag, 4, len(values), after))
            lists.append(content)
            after += len(content)
        else:
            fields.append(struct.pack("<HHL", tag, 4, len(values)) + content)
    directory = struct.pack("<H", len(entries)) + b"".join(fields) + bytes(4)
    return b"II*\0" + struct.pack("<L", start) + data + b"\0" * (len(data) % 2) + directory + b"".join(lists)


def grey_tiff(width: int, height: int, compression: int, data: bytes, **more: tuple[int, ...]) -> bytes:
    entries = {256: (width,), 257: (height,), 258: (8,), 259: (compression,), 262: (1,), 277: (1,)}
    return tiff(entries | {int(tag[1:]): values for tag, values in more.items()}, data)


def strips(count: int, compression: int, data: bytes, width: int = 8, each: int = 0) -> bytes:
    """One row a strip; every strip is the same `data`, or `each` bytes of it in turn."""
    offsets = tuple(8 + (index * each) for index in range(count))
    sizes = (each or len(data),) * count
    return grey_tiff(width, count, compression, data, _273=offsets, _278=(1,), _279=sizes)


def deep_tiff(side: int, samples: int, *, bits: int = 16, planar: bool = False) -> bytes:
    """Deflated samples of 12 or 16 bits; the fourth is alpha that the colours are multiplied by."""
    compressor = zlib.compressobj(1)
    row = bytes([3, 5, 250, 7]) * (side * bits * (1 if planar else samples) // 32)
    packed = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    planes = samples if planar else 1
    entries = {256: (side,), 257: (side,), 258: (bits,) * samples, 259: (8,), 277: (samples,), 278: (side,)}
    entries |= {262: (2,) if samples > 1 else (0,), 273: (8,) * planes, 279: (len(packed),) * planes}
    entries |= {284: (2,)} if planar else {}
    entries |= {338: (1,)} if samples == 4 else {}
    return tiff(entries, packed * planes)


def flat_tiff(compression: str, mode: str = "RGB") -> Callable[[int], bytes]:
    return lambda size: encode(Image.new(mode, (SIDE, SIDE)), "TIFF", compression=compression)


def tiffs() -> Files:
    jpeg_bomb = b"\xff\xd8" + b"\xff" * 1_000_000 + small_jpeg()[2:]
    row = zlib.compress(bytes(8))
    yield "TIFF: 65,500 strips", lambda size: strips(65_500, 1, bytes(8 * 65_500), each=8)
    yield "TIFF: 65,500 strips that are one", lambda size: strips(65_500, 1, bytes(size - 2**20))
    yield "TIFF: 65,500 deflated strips", lambda size: strips(65_500, 8, row * 65_500, each=len(row))
    yield (
        "TIFF: 65,500 deflated strips that are one",
        lambda size: strips(65_500, 8, row + bytes(size - 2**21)),
    )
    yield "TIFF: JPEG strips of fill bytes that are one", lambda size: strips(4000, 7, jpeg_bomb, 64)
    yield "TIFF: fax rows that are broken", lambda size: tiff(
        {256: (64,), 257: (65_500,), 258: (1,), 259: (3,), 262: (0,), 277: (1,), 273: (8,), 278: (65_500,),
         279: (4_000_000,)},
        os.urandom(4_000_000),
    )  # fmt: skip
    yield "TIFF: wide fax rows that are broken", lambda size: tiff(
        {256: (1024,), 257: (65_500,), 258: (1,), 259: (4,), 262: (0,), 277: (1,), 273: (8,), 278: (65_500,),
         279: (30_000_000,)},
        fill(os.urandom(1_000_000), 30_000_000),
    )  # fmt: skip
    yield (
        "TIFF: 60,000 directory entries",
        lambda size: (
            b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + fill(struct.pack("<HHLL", 256, 4, 1, 8), 720_000)
        ),
    )
    yield (
        "TIFF: a tile of 4 gigapixels",
        lambda size: grey_tiff(8, 8, 8, row, _322=(65_520,), _323=(65_520,), _324=(8,), _325=(len(row),)),
    )
    yield "TIFF: RGBA of 16 bits in planes, 64 megapixels", lambda size: deep_tiff(SIDE, 4, planar=True)
    yield "TIFF: RGBA of 16 bits in planes, 32 megapixels", lambda size: deep_tiff(5700, 4, planar=True)
    yield "TIFF: RGBA of 16 bits, 48 megapixels", lambda size: deep_tiff(7000, 4, planar=False)
    yield "TIFF: RGB of 16 bits, 64 megapixels", lambda size: deep_tiff(SIDE, 3, planar=False)
    yield "TIFF: white is zero, 12 bits, 64 megapixels", lambda size: deep_tiff(SIDE, 1, bits=12)
    yield "TIFF: flat RGB, 64 megapixels, deflate", flat_tiff("tiff_adobe_deflate")
    yield "TIFF: flat RGBA, 64 megapixels, LZW", flat_tiff("tiff_lzw", "RGBA")
    yield "TIFF: flat CMYK, 64 megapixels, LZW", flat_tiff("tiff_lzw", "CMYK")
    yield "TIFF: flat RGB, 64 megapixels, PackBits", flat_tiff("packbits")
    yield "TIFF: flat grey of 16 bits, 64 megapixels", flat_tiff("tiff_adobe_deflate", "I;16")
    yield "TIFF: flat RGB, 64 megapixels, JPEG", flat_tiff("jpeg")
    yield "TIFF: dense, 64 megapixels, LZW", lambda size: encode(dense(1), "TIFF", compression="tiff_lzw")
    yield (
        "TIFF: dense, 64 megapixels, deflate",
        lambda size: encode(dense(2), "TIFF", compression="tiff_adobe_deflate"),
    )
    yield "TIFF: noise, 10 megapixels, LZW", lambda size: encode(noise(2600), "TIFF", compression="tiff_lzw")
    yield (
        "TIFF: noise, 10 megapixels, deflate",
        lambda size: encode(noise(3200), "TIFF", compression="tiff_adobe_deflate"),
    )
    yield "TIFF: dense, 16 megapixels, LZMA", lambda size: encode(dense(2, 4096), "TIFF", compression="lzma")
    yield "TIFF: noise, 2 megapixels, LZMA", lambda size: encode(noise(1600), "TIFF", compression="lzma")
