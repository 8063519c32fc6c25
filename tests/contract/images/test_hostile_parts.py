"""Parts of a file that pixels do not need cost a decoder nothing, or are refused under the limit's own name.

The sizes of what a decoder is given are asserted, not times: benchmarks/hostile_images.py measures these.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from spyglass_contract.errors import LimitExceeded, SpyglassError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits, read_container

Encode = Callable[..., bytes]
Chunk = Callable[[bytes, bytes], bytes]

JUNK = 3_000_000


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def given(data: bytes) -> int:
    """How many bytes a decoder is given."""
    return sum(map(len, read_container(data, Limits()).parts))


def reason(data: bytes) -> str:
    with pytest.raises(SpyglassError) as raised:
        decode(data, Limits())
    return raised.value.reason


JPEG_JUNK = {
    "fill bytes": b"\xff" * JUNK,
    "zeros": b"\xff\xe3\0\2" + bytes(JUNK),
    "escaped bytes": b"\xff\0" * (JUNK // 2),
    "restart markers": b"\xff\xd0" * (JUNK // 2),
    "comments": segment(0xFE, bytes(65_000)) * 40,
    "Photoshop resources": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000) * 40,
    "profiles": segment(0xE2, b"ICC_PROFILE\0\1\x28" + bytes(65_000)) * 40,
    "lists of images": segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + b"\xff" * 60_000) * 40,
    "EXIF": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\0\1\4\0\1\0\0\0\0\0\0\0" * 5000) * 40,
}


@pytest.mark.parametrize("kind", JPEG_JUNK)
def test_what_a_jpeg_has_between_its_segments_is_not_given_to_the_decoder(chelsea: bytes, kind: str) -> None:
    data = chelsea[:2] + JPEG_JUNK[kind] + chelsea[2:]

    assert given(data) <= len(chelsea)
    np.testing.assert_array_equal(
        np.asarray(decode(data, Limits())[0]), np.asarray(decode(chelsea, Limits())[0])
    )


def test_fill_bytes_in_the_coded_data_of_a_jpeg_are_not_given_to_the_decoder(chelsea: bytes) -> None:
    data = chelsea[:-2] + b"\xff" * JUNK + chelsea[-2:]

    assert given(data) <= len(chelsea) + 1
    np.testing.assert_array_equal(
        np.asarray(decode(data, Limits())[0]), np.asarray(decode(chelsea, Limits())[0])
    )


def test_fill_bytes_between_the_scans_of_a_jpeg_are_not_given_to_the_decoder(encode: Encode) -> None:
    data = encode(Image.effect_noise((64, 64), 50), "JPEG", progressive=True)
    table = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
    scan = data.index(b"\xff\xda", table)
    filled = data[:table] + b"\xff" * JUNK + data[table:scan] + b"\xff" * JUNK + data[scan:]

    assert given(filled) <= len(data) + 2
    np.testing.assert_array_equal(
        np.asarray(decode(filled, Limits())[0]), np.asarray(decode(data, Limits())[0])
    )


def test_bytes_255_in_a_quantization_table_are_no_fill_bytes(encode: Encode) -> None:
    image = Image.effect_noise((64, 64), 80)
    data = encode(image, "JPEG", qtables=[[255] * 64])
    long = data[:-2] + b"\xff" * 1000 + data[-2:]

    assert b"\xff" * 60 in data
    np.testing.assert_array_equal(
        np.asarray(decode(long, Limits())[0]),
        np.asarray(Image.merge("RGB", [decode(data, Limits())[0].getchannel(0)] * 3)),
    )


@pytest.mark.parametrize("unit", [segment(0xE5, b""), segment(0xFE, b"a")])
def test_a_jpeg_of_too_many_segments_is_refused_by_their_name(chelsea: bytes, unit: bytes) -> None:
    assert reason(chelsea[:2] + unit * 3000 + chelsea[2:]) == "IMAGE_TOO_MANY_SEGMENTS"


def test_a_jpeg_of_too_many_tables_is_refused(chelsea: bytes) -> None:
    tables = segment(0xDB, (b"\0" + b"\1" * 64) * 500)

    assert reason(chelsea[:2] + tables * 3 + chelsea[2:]) == "IMAGE_TOO_MANY_SEGMENTS"


def test_a_jpeg_with_too_many_pixels_over_all_its_scans_is_refused(encode: Encode) -> None:
    progressive = encode(Image.new("L", (4000, 4000), 77), "JPEG", progressive=True)
    last_scan = progressive[progressive.rindex(b"\xff\xda") : -2]

    decode(progressive, Limits())
    assert reason(progressive[:-2] + last_scan * 50 + progressive[-2:]) == "IMAGE_TOO_SLOW"


@pytest.mark.parametrize("kind", [b"teSt", b"IDAT", b"tEXt"])
@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
def test_a_png_of_too_many_chunks_is_refused(
    encode: Encode, png_chunk: Chunk, kind: bytes, place: bytes
) -> None:
    data = encode(Image.new("RGB", (8, 8)))
    at = data.index(place) - 4

    assert reason(data[:at] + png_chunk(kind, b"") * 70_000 + data[at:]) == "IMAGE_TOO_MANY_CHUNKS"


@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt", b"prVt"])
def test_the_texts_and_profiles_of_a_png_are_skipped(
    encode: Encode, png_chunk: Chunk, kind: bytes, place: bytes
) -> None:
    data = encode(Image.new("RGB", (8, 8), (1, 2, 3)))
    start = b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0"
    bomb = png_chunk(kind, start + zlib.compress(bytes(5_000_000)))
    at = data.index(place) - 4
    whole = data[:at] + bomb * 2 + data[at:]

    assert given(whole) <= len(data)
    assert (np.asarray(decode(whole, Limits())[0]) == (1, 2, 3)).all()


def test_the_pixels_of_a_png_in_many_chunks_are_one_for_the_decoder(encode: Encode, png_chunk: Chunk) -> None:
    data = encode(Image.effect_noise((64, 64), 50))
    start, end = data.index(b"IDAT") + 4, data.index(b"IEND") - 8
    split = b"".join(png_chunk(b"IDAT", data[at : min(at + 1, end)]) for at in range(start, end))
    whole = data[: start - 8] + split + data[end + 4 :]

    assert given(whole) == len(data)
    np.testing.assert_array_equal(
        np.asarray(decode(whole, Limits())[0]), np.asarray(decode(data, Limits())[0])
    )


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_with_too_many_bytes_of_rows_is_refused(png_chunk: Chunk, interlaced: bool) -> None:
    side = 5100 if interlaced else 7500
    header = struct.pack(">LLBBBBB", side, side, 16, 6, 0, 0, interlaced)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")

    assert reason(data) == "IMAGE_TOO_SLOW"


def test_a_png_for_ios_is_refused_by_its_kind(encode: Encode, png_chunk: Chunk) -> None:
    data = encode(Image.new("RGB", (8, 8)))

    assert reason(data[:8] + png_chunk(b"CgBI", b"\x50\0\x20\2") + data[8:]) == "IMAGE_KIND_UNSUPPORTED"


@pytest.mark.parametrize("blocks", [b"!\xfe\0" * 70_000, b"!\xfe" + b"\1a" * 70_000 + b"\0", bytes(70_000)])
def test_a_gif_of_too_many_blocks_is_refused(encode: Encode, blocks: bytes) -> None:
    data = encode(Image.new("P", (8, 8)), "GIF")
    at = data.index(b",", 13 + 3)

    assert reason(data[:at] + blocks + data[at:]) == "IMAGE_TOO_MANY_BLOCKS"


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def test_a_webp_of_too_many_chunks_is_refused_and_its_metadata_skipped(encode: Encode) -> None:
    pixels = encode(Image.new("RGB", (8, 8), (1, 2, 3)), "WEBP", lossless=True)[12:]
    canvas = b"VP8X" + struct.pack("<L", 10) + b"\x2c\0\0\0\7\0\0\7\0\0"

    assert reason(riff(canvas, b"teSt\0\0\0\0" * 70_000, pixels)) == "IMAGE_TOO_MANY_CHUNKS"
    whole = riff(canvas, b"ICCP" + struct.pack("<L", JUNK) + bytes(JUNK), pixels)
    assert given(whole) < 200
    assert (np.asarray(decode(whole, Limits())[0]) == (1, 2, 3)).all()


def test_a_lossy_webp_of_too_many_bytes_for_its_pixels_is_refused() -> None:
    """The canvas has 64 megapixels; the bytes are counted, not decoded."""
    canvas = b"VP8X" + struct.pack("<L", 10) + b"\0\0\0\0\xff\x1f\0\xff\x1f\0"

    assert (
        reason(riff(canvas, b"VP8 " + struct.pack("<L", 13_000_000) + bytes(13_000_000))) == "IMAGE_TOO_SLOW"
    )


def test_a_bmp_of_too_many_run_length_bytes_is_refused() -> None:
    rows = b"\1\1" * 2_200_000
    header = struct.pack("<LllHHLLllLL", 40, 100, 100, 1, 8, 1, len(rows), 0, 0, 256, 0)
    start = 54 + 1024

    data = b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + header + bytes(1024) + rows

    assert reason(data) == "IMAGE_TOO_SLOW"


def tiff(compression: int, entries: dict[int, list[int]], data: bytes) -> bytes:
    """A grey TIFF of 8 pixels a row; every entry is a list of 32-bit numbers."""
    entries = {256: [8], 258: [8], 259: [compression], 262: [1], 277: [1]} | entries
    start = 8 + len(data)
    fields, lists, after = b"", b"", start + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        content = struct.pack(f"<{len(values)}L", *values)
        stored = struct.pack("<L", after + len(lists)) if len(values) > 1 else content
        fields += struct.pack("<HHL", tag, 4, len(values)) + stored
        lists += content if len(values) > 1 else b""
    directory = struct.pack("<H", len(entries)) + fields + bytes(4)
    return b"II*\0" + struct.pack("<L", start) + data + directory + lists


def test_compressed_strips_of_a_tiff_that_share_their_bytes_are_refused() -> None:
    strip = zlib.compress(bytes(8)) + bytes(10_000)

    shared = tiff(8, {257: [50], 273: [8] * 50, 278: [1], 279: [len(strip)] * 50}, strip)

    assert reason(shared) == "IMAGE_TOO_SLOW"


def test_a_tile_of_a_tiff_that_is_far_larger_than_the_image_is_refused() -> None:
    strip = zlib.compress(bytes(8))

    data = tiff(8, {257: [8], 322: [65_520], 323: [65_520], 324: [8], 325: [len(strip)]}, strip)

    assert reason(data) == "IMAGE_TOO_SLOW"


@pytest.mark.parametrize(("side", "planar"), [(7200, 1), (6000, 2)])
def test_a_tiff_of_too_many_bytes_of_samples_is_refused(side: int, planar: int) -> None:
    entries = {256: [side], 257: [side], 258: [16] * 4, 262: [2], 273: [8] * 4, 277: [4], 278: [side]}

    data = tiff(8, entries | {279: [8] * 4, 284: [planar], 338: [1]}, zlib.compress(b""))

    assert reason(data) == "IMAGE_TOO_SLOW"


def test_progressive_jpeg_strips_of_a_tiff_are_bounded_as_jpegs_are(encode: Encode) -> None:
    strip = encode(Image.new("L", (8, 8), 77), "JPEG", progressive=True)
    scans = strip[:-2] + strip[strip.rindex(b"\xff\xda") : -2] * 100 + strip[-2:]

    entries = {257: [8], 273: [8], 278: [8]}
    decode(tiff(7, entries | {279: [len(strip)]}, strip), Limits())
    assert reason(tiff(7, entries | {279: [len(scans)]}, scans)) == "IMAGE_TOO_MANY_SCANS"


def test_the_other_entries_of_a_tiff_are_not_given_to_the_decoder() -> None:
    """Texts, private entries, and entries with more values than they may have: Pillow would warn of some."""
    odd = {270: [1, 2, 3], 282: [5, 5], 330: [8] * 100, 33_432: [7], 34_665: [8], 65_000: list(range(5000))}

    data = tiff(1, {257: [4], 273: [8], 278: [4, 4], 279: [32]} | odd, bytes(range(32)))

    assert np.asarray(decode(data, Limits())[0])[:, :, 0].tolist() == np.arange(32).reshape(4, 8).tolist()
    with pytest.raises(LimitExceeded) as raised:
        decode(tiff(1, {tag: [1] for tag in range(300, 5000)}, b""), Limits())
    assert raised.value.reason == "IMAGE_TOO_MANY_ENTRIES"
