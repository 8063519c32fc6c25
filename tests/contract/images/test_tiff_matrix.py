"""Every kind of TIFF: the pixels that a second reader finds, or a refusal that names the kind."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass_contract.errors import ImageError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits

# The second reader needs newer libraries than the oldest that Spyglass works with.
tifffile = pytest.importorskip("tifffile")

HEIGHT, WIDTH = 37, 50
UNREAD = ("IMAGE_KIND_UNSUPPORTED", "IMAGE_COLOR_UNSUPPORTED")

PHOTOMETRICS = {
    "miniswhite": 1,
    "minisblack": 1,
    "rgb": 3,
    "palette": 1,
    "separated": 4,
    "ycbcr": 3,
    "cielab": 3,
}
BITS = (1, 2, 4, 8, 10, 12, 14, 16, 32)
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma", "jpeg")
# What must be read; every other combination may be refused.
READ_BITS = {
    "miniswhite": {1, 2, 4, 8, 12, 16},
    "minisblack": {1, 2, 4, 8, 12, 16},
    "rgb": {8, 16},
    "palette": {1, 2, 4, 8},
    "separated": {8, 16},
    "ycbcr": {8},
    "cielab": set(),
}
COLOR_MAP = np.random.RandomState(1).randint(0, 65536, (3, 256), np.uint16)


def samples(bits: int, count: int) -> NDArray[np.generic]:
    """Smooth samples of the full range, [height, width] or [count, height, width]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [(x * (3 + index) + y * 2 * (index + 1)) % 150 / 149 for index in range(count)]
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    stacked = (np.stack(planes) * (2**bits - 1)).astype(dtype)
    return stacked[0] if count == 1 else stacked


def written(photometric: str, bits: int, **options: object) -> bytes | None:
    """A TIFF by tifffile, or nothing if tifffile cannot write the combination."""
    pixels = samples(bits, PHOTOMETRICS[photometric])
    planar, patched = options.pop("planar"), False
    if pixels.ndim == 3 and not planar:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3:
        options["planarconfig"] = "separate" if planar else "contig"
    elif planar:
        return None
    if photometric == "palette":
        if bits > 8:
            return None
        # tifffile writes palettes of 8 bits only.
        photometric = "minisblack"
        options["extratags"] = [(320, "H", 3 * 2**bits, COLOR_MAP[:, : 2**bits].ravel().tolist(), True)]
        patched = True
    buffer = io.BytesIO()
    dtype = pixels.dtype
    try:
        tifffile.imwrite(
            buffer,
            pixels,
            photometric=photometric,
            bitspersample=bits if bits != dtype.itemsize * 8 else None,
            **options,
        )
    except (ValueError, NotImplementedError, TypeError, KeyError):
        return None
    entry = f"{options['byteorder']}HHLH"
    stated, palette = struct.pack(entry, 262, 3, 1, 1), struct.pack(entry, 262, 3, 1, 3)
    return buffer.getvalue().replace(stated, palette) if patched else buffer.getvalue()


def expected(data: bytes, photometric: str, bits: int) -> NDArray[np.float64]:
    """The pixels by tifffile and the formulas of TIFF 6.0, [height, width, 3], 0 to 255."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        found = page.asarray()
        if found.ndim == 3 and found.shape[0] in (3, 4) and found.shape[-1] == WIDTH:
            found = np.moveaxis(found, 0, -1)
    if photometric == "palette":
        return (COLOR_MAP[:, found.astype(int)] // 256).transpose(1, 2, 0).astype(float)
    values = found.astype(float) * 255 / (2**bits - 1)
    if bits > 8:
        values = np.floor(found.astype(float) / 2 ** (bits - 8))
    if photometric == "miniswhite":
        values = 255 - values
    if photometric == "separated":
        return (255 - values[:, :, :3]) * (255 - values[:, :, 3:]) / 255
    if photometric == "ycbcr" and (page.compression != 7 or page.planarconfig == 2):
        luma, blue, red = values[..., 0], values[..., 1] - 128, values[..., 2] - 128
        return np.stack(
            [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1
        ).clip(0, 255)
    return np.repeat(values[:, :, np.newaxis], 3, axis=2) if values.ndim == 2 else values


def outcome(data: bytes) -> NDArray[np.uint8] | ImageError:
    try:
        return np.asarray(decode(data, Limits())[0])
    except ImageError as error:
        return error


def kinds(photometric: str, bits: int) -> Iterator[tuple[str, bytes]]:
    """Each file of the matrix that tifffile writes, with its name."""
    for planar, byte_order, compression, layout in itertools.product(
        (False, True), "<>", COMPRESSIONS, ("one strip", "strips", "tiles")
    ):
        shape: dict[str, object] = {
            "one strip": {"rowsperstrip": HEIGHT},
            "strips": {"rowsperstrip": 8},
            "tiles": {"tile": (16, 32)},
        }[layout]
        if compression == "jpeg" and bits > 8:
            continue
        # The layout is the same for each compression of bytes.
        if compression in ("packbits", "zstd", "lzma") and layout != "strips":
            continue
        for predictor in (False, True) if compression in ("lzw", "zlib", "zstd") else (False,):
            more = {"predictor": True} if predictor else {}
            if photometric == "ycbcr" and compression != "jpeg":
                more["subsampling"] = (1, 1)
            if compression == "jpeg":
                more |= {
                    "compressionargs": {"level": 100, "outcolorspace": None}
                    if photometric != "ycbcr"
                    else {"level": 100}
                }
            data = written(
                photometric,
                bits,
                planar=planar,
                byteorder=byte_order,
                compression=compression,
                **shape,
                **more,
            )
            if data is not None:
                yield f"planar={planar} {byte_order} {compression} {layout} predictor={predictor}", data


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("photometric", PHOTOMETRICS)
def test_a_tiff_has_the_pixels_of_a_second_reader_or_is_refused_by_its_kind(
    photometric: str, bits: int
) -> None:
    wrong: list[str] = []
    read = 0
    for name, data in kinds(photometric, bits):
        found = outcome(data)
        if isinstance(found, ImageError):
            if found.reason not in UNREAD or (bits in READ_BITS[photometric] and "None" in name):
                wrong.append(f"{name}: {found.reason} {found}")
            continue
        read += 1
        difference = np.abs(found - expected(data, photometric, bits)).max()
        if difference > (6 if "jpeg" in name else 2):
            wrong.append(f"{name}: off by {difference:.1f}")

    assert wrong == []
    if bits in READ_BITS[photometric] and bits != 12:
        assert read > 0


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("bits", [10, 12, 14, 15])
def test_16_bit_samples_of_which_fewer_are_used_keep_their_highest_8_used_bits(
    photometric: str, bits: int
) -> None:
    pixels = samples(bits, PHOTOMETRICS[photometric])
    used = [(281, "H", 1, 2**bits - 1, True)]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        pixels,
        photometric=photometric,
        planarconfig="separate" if pixels.ndim == 3 else None,
        extratags=used,
    )

    found = outcome(buffer.getvalue())

    high = (pixels.reshape(-1, HEIGHT, WIDTH) >> bits - 8).astype(np.uint8)
    expected_pixels = np.moveaxis(np.broadcast_to(high, (3, HEIGHT, WIDTH)), 0, -1)
    assert not isinstance(found, ImageError)
    np.testing.assert_array_equal(
        found, 255 - expected_pixels if photometric == "miniswhite" else expected_pixels
    )


def test_16_bit_colours_in_pixels_of_which_fewer_bits_are_used_are_refused_by_their_kind() -> None:
    pixels = np.moveaxis(samples(12, 3), 0, -1)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", extratags=[(281, "H", 3, (4095,) * 3, True)])

    found = outcome(buffer.getvalue())

    assert isinstance(found, ImageError)
    assert (found.reason, "12 of them used" in found.message) == ("IMAGE_KIND_UNSUPPORTED", True)
