"""The header of an image file: its format by the first bytes, and the limits, before anything is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageFile

from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.images.format_checks import check_jpeg, check_tiff, check_webp_length, webp_size
from spyglass_contract.images.formats import FORMAT_TITLES, FORMATS

# Formats that are named in the error, because callers send them by mistake.
_REJECTED = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"P1", "a portable bitmap (PNM)"),
    (b"P2", "a portable bitmap (PNM)"),
    (b"P3", "a portable bitmap (PNM)"),
    (b"P4", "a portable bitmap (PNM)"),
    (b"P5", "a portable bitmap (PNM)"),
    (b"P6", "a portable bitmap (PNM)"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
)
_MARKUP = ((b"<svg", "SVG"), (b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"))
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}

# The most that libjpeg reads and writes. To resize and to interpolate takes memory for each row and column, a
# hundred bytes and more: a line of 64 megapixels, a PNG of 62 kB, would take 5 GB.
_MAX_SIDE = 65_500
# The only decoder here that is written in Python: 0.1 s a megapixel, however small the file is.
_SLOW_CODEC = "bmp_rle"
_MAX_SLOW_PIXELS = 4 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The largest image that is read: bytes of the file, and pixels of the image in it."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 64 * 1024 * 1024


def open_header(data: bytes, limits: Limits) -> Image.Image:
    """Open a file as far as its header, without decoding it or taking memory for its pixels.

    Raises ImageError if it is not an image in one of the FORMATS, and LimitExceeded if it has more bytes or
    pixels than `limits` allow, or a side of more than 65,500 pixels.
    """
    if not data:
        raise ImageError("the image has no bytes", reason="IMAGE_EMPTY", field="image")
    if len(data) > limits.max_bytes:
        raise LimitExceeded(
            f"the image has {len(data):,} bytes; the limit is {limits.max_bytes:,}",
            reason="IMAGE_TOO_MANY_BYTES",
            field="image",
        )
    format_name = sniff(data)
    if format_name == "WEBP":
        check_pixels(*webp_size(data), limits)
        check_webp_length(data)
    elif format_name == "JPEG":
        check_jpeg(data)
    elif format_name == "TIFF":
        check_tiff(data)
    image = _open(data, format_name)
    check_pixels(*image.size, limits)
    if image.tile and image.tile[0].codec_name == _SLOW_CODEC:
        check_pixels(*image.size, Limits(max_pixels=_MAX_SLOW_PIXELS))
    return image


def sniff(data: bytes) -> str:
    """Return Pillow's name of a file's format, found by the first bytes.

    Raises ImageError if the format is not one of the FORMATS.
    """
    for entry in FORMATS:
        if entry.first_bytes.match(data):
            return entry.name
    found = _rejected_format(data)
    if found:
        raise ImageError(
            f"the file is {found}; expected {FORMAT_TITLES}", reason="IMAGE_FORMAT_NOT_ALLOWED", field="image"
        )
    raise ImageError(
        f"the file is not an image; expected {FORMAT_TITLES}", reason="IMAGE_UNRECOGNISED", field="image"
    )


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raise LimitExceeded if an image of this size is too large, and ImageError if it has no pixels."""
    if width < 1 or height < 1:
        raise ImageError(f"the image has no pixels: its size is {width}x{height}", field="image")
    if width * height > limits.max_pixels:
        raise LimitExceeded(
            f"the image has {width}x{height} pixels; the limit is {limits.max_pixels:,} pixels",
            reason="IMAGE_TOO_MANY_PIXELS",
            field="image",
        )
    if max(width, height) > _MAX_SIDE:
        raise LimitExceeded(
            f"the image has {width}x{height} pixels; the limit of a side is {_MAX_SIDE:,} pixels",
            reason="IMAGE_TOO_MANY_PIXELS",
            field="image",
        )


def _open(data: bytes, format_name: str) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=[format_name])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitExceeded(
            "the image has more pixels than the limit", reason="IMAGE_TOO_MANY_PIXELS", field="image"
        ) from error
    # A broken header makes Pillow's parsers raise OSError, SyntaxError, struct.error, KeyError,
    # OverflowError and more. All of them mean the same here.
    except Exception as error:
        raise ImageError(f"the header of the {format_name} is broken or cut off", field="image") from error


def _rejected_format(data: bytes) -> str:
    """Return the name of a known format that is not read, or an empty text."""
    for first_bytes, name in _REJECTED:
        if data.startswith(first_bytes):
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video or HEIF file")
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<"):
        for tag, name in _MARKUP:
            if tag in start:
                return name
    return ""
