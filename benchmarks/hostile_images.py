"""Measure what the worst image files within the limits cost: processor time and peak memory.

Every file has at most `--megabytes` (32 MiB, the server's default limit) and is made here, of what a format
allows to repeat, to nest or to leave out, and of the largest images that are allowed. Each is decoded and
resized to 224×224 pixels in a process of its own. A file that is refused costs what its refusal costs.

    python benchmarks/hostile_images.py [--only TEXT] [--megabytes 32]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

LIMIT_SECONDS = 1.5
SIDE = 8192  # 64 megapixels, the server's default limit

MEASURE = """
import json, sys, time
from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH, InputSpec, ValueRange
from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.pixels import prepare
spec = InputSpec(tensor="image", height=224, width=224, color_mode=COLOR_MODE_RGB, resize=RESIZE_RULE_STRETCH,
                 value_range=ValueRange(minimum=0, maximum=255), scaled_decode_margin=0)
data = open(sys.argv[1], "rb").read()
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before = peak()
start = time.process_time()
try:
    found = prepare(data, spec)
    outcome = f"{found.width}x{found.height}"
except SpyglassError as error:
    outcome = error.reason
seconds = time.process_time() - start
print(json.dumps([seconds, (peak() - before) / 1024, outcome]))
"""

Files = Iterator[tuple[str, Callable[[int], bytes]]]


def encode(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def fill(unit: bytes, size: int) -> bytes:
    """Repeat `unit` as often as `size` bytes hold it."""
    return unit * (size // len(unit))


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


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, (side, side, 3), np.uint8))


def resources() -> bytes:
    """An APP13 segment full of empty Photoshop resources."""
    return segment(0xED, b"Photoshop 3.0\0" + fill(b"8BIM\4\4\0\0\0\0\0\0", 65_500))


def many_scans(scans: int, side: int) -> bytes:
    data = encode(Image.new("L", (side, side), 77), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + data[-2:]


def dense(bits: int, side: int = SIDE) -> Image.Image:
    """Noise of a few bits in each sample: the most that a file of 32 MiB holds of so many pixels."""
    values = np.random.RandomState(0).randint(0, 2**bits, (side, side), np.uint8) << 7 - bits
    grey = Image.fromarray(values)
    return Image.merge("RGB", [grey, Image.new("L", (side, side)), grey])


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="measure the files whose name contains this text")
    parser.add_argument(
        "--megabytes", type=int, default=32, help="size of the files that can have any, in MiB"
    )
    arguments = parser.parse_args()
    print("| file | bytes | processor time | memory | outcome |\n|---|---|---|---|---|")
    failed = 0
    for formats in (jpegs, pngs, gifs, webps, bmps, tiffs):
        for name, make in formats():
            if arguments.only.lower() not in name.lower():
                continue
            data = make(arguments.megabytes * 2**20 - 4096)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "image")
                path.write_bytes(data)
                done = subprocess.run(
                    [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, timeout=300
                )
            seconds, memory, outcome = json.loads(done.stdout) if done.stdout else (0, 0, done.stderr[-300:])
            lines = done.stderr.count("\n")
            if lines:
                outcome += f", {lines:,} lines on standard error"
            failed += seconds > LIMIT_SECONDS or bool(lines)
            mark = "**" if seconds > LIMIT_SECONDS else ""
            print(
                f"| {name} | {len(data):,} | {mark}{seconds:.2f} s{mark} | {memory:,.0f} MB | {outcome} |",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
