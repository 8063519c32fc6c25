"""JPEG files: fill bytes, segments, scans and restart markers."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from PIL import Image

from hostile.making import SIDE, Files, dense, encode, fill, noise


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def small_jpeg(**options: object) -> bytes:
    return encode(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG", **options)


def large_jpeg(**options: object) -> bytes:
    return encode(Image.new("RGB", (SIDE, SIDE), (90, 120, 60)), "JPEG", **options)


def in_jpeg(unit: bytes) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        data = small_jpeg()
        return data[:2] + fill(unit, size - len(data)) + data[2:]

    return make


def resources() -> bytes:
    """An APP13 segment full of empty Photoshop resources."""
    return segment(0xED, b"Photoshop 3.0\0" + fill(b"8BIM\4\4\0\0\0\0\0\0", 65_500))


def many_scans(scans: int, side: int) -> bytes:
    data = encode(Image.new("L", (side, side), 77), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + data[-2:]


def refinements(side: int, size: int) -> bytes:
    """Noise, the last refinement of its coefficients as often as scans and bytes allow."""
    data = encode(noise(side).convert("L"), "JPEG", quality=99, progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * min(54, (size - len(data)) // len(last)) + data[-2:]


def arithmetic(side: int, size: int, *, progressive: bool = False) -> bytes:
    """Random coded data, every bit of which an arithmetic decoder takes for something."""
    frame = struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"
    table = segment(0xDB, b"\0" + b"\1" * 64)
    scans = [b"\1\1\0\0\0\0", b"\1\1\0\1\x3f\0"] if progressive else [b"\1\1\0\0\x3f\0"]
    coded = os.urandom(1_000_000).replace(b"\xff", b"\xfe") * (size // 1_000_000 // len(scans))
    start = b"\xff\xd8" + table + segment(0xCA if progressive else 0xC9, frame)
    return start + b"".join(segment(0xDA, scan) + coded for scan in scans) + b"\xff\xd9"


def between_scans(junk: bytes) -> bytes:
    data = large_jpeg(progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    return data[:second] + junk + data[second:]


def restarts(size: int) -> bytes:
    data = large_jpeg()
    scan = data.index(b"\xff\xda")
    markers = b"".join(bytes([0xFF, 0xD0 + number]) for number in range(8))
    start = data[:scan] + segment(0xDD, b"\0\1") + data[scan : scan + 14]
    return start + fill(markers, size - len(start) - 2) + b"\xff\xd9"


def jpegs() -> Files:
    yield "JPEG: fill bytes after the first marker", in_jpeg(b"\xff")
    yield "JPEG: zeros behind FF D8 FF", lambda size: b"\xff\xd8\xff" + bytes(size - 3)
    yield "JPEG: junk between segments", in_jpeg(b"\0")
    yield "JPEG: FF 00 between segments", in_jpeg(b"\xff\0")
    yield "JPEG: restart markers between segments", in_jpeg(b"\xff\xd0")
    yield "JPEG: empty segments", in_jpeg(segment(0xE5, b""))
    yield "JPEG: APP13 of Photoshop resources", in_jpeg(resources())
    yield "JPEG: 2,000 APP13 segments", lambda size: small_jpeg()[:2] + resources() * 500 + small_jpeg()[2:]
    yield "JPEG: APP2 profiles", in_jpeg(segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000)))
    yield (
        "JPEG: APP2 of many images (MPF)",
        in_jpeg(segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + b"\xff" * 65_000)),
    )
    yield (
        "JPEG: EXIF of many entries",
        in_jpeg(
            segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\x0f" + fill(b"\x12\1\5\0\1\0\0\0\0\0\0\0", 65_000))
        ),
    )
    yield "JPEG: quantization tables", in_jpeg(segment(0xDB, fill(b"\0" + b"\1" * 64, 65_000)))
    yield "JPEG: Huffman tables", in_jpeg(segment(0xC4, fill(b"\0\1" + bytes(15) + b"\0", 65_000)))
    yield "JPEG: comments", in_jpeg(segment(0xFE, b""))
    yield "JPEG: fill bytes in the scan", lambda size: small_jpeg()[:-40] + b"\xff" * size + b"\xff\xd9"
    yield "JPEG: fill bytes between scans", lambda size: between_scans(b"\xff" * (size - 2**20))
    yield (
        "JPEG: tables between scans",
        lambda size: between_scans(segment(0xDB, fill(b"\0" + b"\1" * 64, 65_000)) * 480),
    )
    yield "JPEG: a restart marker for each block, 64 megapixels", restarts
    yield "JPEG: zeros in the scan", lambda size: small_jpeg()[:-2] + bytes(size) + b"\xff\xd9"
    yield "JPEG: no end, restart markers", lambda size: small_jpeg()[:-2] + fill(b"\xff\xd0", size)
    yield "JPEG: 64 scans of 64 megapixels", lambda size: many_scans(54, SIDE)
    yield "JPEG: 64 scans of 10 megapixels", lambda size: many_scans(54, 3162)
    yield "JPEG: refinements of noise, 2 megapixels", lambda size: refinements(1400, size)
    yield "JPEG: refinements of noise, no end", lambda size: refinements(2000, 2**24)[:-2]
    yield "JPEG: refinements of noise, 8 megapixels", lambda size: refinements(2900, size)
    yield "JPEG: arithmetic-coded, 8 MiB, 64 megapixels", lambda size: arithmetic(SIDE, 8 * 2**20)
    yield "JPEG: arithmetic-coded, 8 MiB, 4 megapixels", lambda size: arithmetic(2048, 8 * 2**20)
    yield (
        "JPEG: arithmetic-coded, progressive, 8 MiB",
        lambda size: arithmetic(4096, 8 * 2**20, progressive=True),
    )
    yield "JPEG: arithmetic-coded, 32 MiB", lambda size: arithmetic(SIDE, size)
    yield "JPEG: flat, 64 megapixels", lambda size: large_jpeg()
    yield "JPEG: flat, 64 megapixels, no end", lambda size: large_jpeg()[:-2]
    yield "JPEG: flat, progressive, 64 megapixels", lambda size: large_jpeg(progressive=True)
    yield "JPEG: flat, progressive, 64 megapixels, no end", lambda size: large_jpeg(progressive=True)[:-2]
    yield "JPEG: noise, 16 megapixels", lambda size: encode(noise(4096), "JPEG", quality=90)
    yield (
        "JPEG: noise, 9 megapixels, progressive",
        lambda size: encode(noise(3000), "JPEG", quality=97, progressive=True),
    )
    yield "JPEG: dense, 64 megapixels", lambda size: encode(dense(3), "JPEG", quality=40)
    yield (
        "JPEG: dense, progressive, 48 megapixels",
        lambda size: encode(dense(3, 6900), "JPEG", quality=40, progressive=True),
    )
    yield "JPEG: CMYK, 64 megapixels", lambda size: encode(Image.new("CMYK", (SIDE, SIDE)), "JPEG")
