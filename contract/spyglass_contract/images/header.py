"""What a file is, from its first bytes: told, and refused where need be, before anything is decoded."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from PIL import Image, ImageFile

from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.images.formats import FORMAT_TITLES, FORMATS
from spyglass_contract.images.jpeg_markers import START_OF_SCAN, jpeg_markers
from spyglass_contract.images.tiff_directory import longest_list

_RECOGNISED = (
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

# A progressive JPEG is decoded scan by scan over the whole image: a file of a few kilobytes with
# thousands of scans would hold a core for minutes. Encoders write about ten.
_MAX_JPEG_SCANS = 64
# A colour profile takes up to 255 of them, everything else a few.
_MAX_JPEG_SEGMENTS = 2048
# Pillow makes an object of each strip of a TIFF: 8 MB with one byte a strip would take 9 s and 600 MB.
_MAX_TIFF_LIST = 65_536
# The most that libjpeg reads and writes. To resize and to interpolate takes memory for each row and column, a
# hundred bytes and more: a line of 64 megapixels, a PNG of 62 kB, would take 5 GB.
_MAX_SIDE = 65_500
# The only decoder here that is written in Python: 0.1 s a megapixel, whatever little is in the file.
_SLOW_CODEC = "bmp_rle"
_MAX_SLOW_PIXELS = 4 * 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What is read at most: bytes of a file, and pixels of the image in it."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 64 * 1024 * 1024


def open_header(data: bytes, limits: Limits) -> Image.Image:
    """Opens a file as far as its header; nothing is decoded and no memory for pixels is taken.

    Raises ImageError where it is no image or of a format that is not read, and LimitExceeded where it has
    more bytes or pixels than `limits` allow, or a side of more than 65,500 pixels.
    """
    if not data:
        raise ImageError("the image has no bytes", reason="IMAGE_EMPTY", field="image")
    if len(data) > limits.max_bytes:
        raise LimitExceeded(
            f"the image has {len(data):,} bytes, more than the {limits.max_bytes:,} allowed",
            reason="IMAGE_TOO_MANY_BYTES",
            field="image",
        )
    format_name = sniff(data)
    if format_name == "WEBP":
        _check_webp(data, limits)
    elif format_name == "JPEG":
        _check_jpeg(data)
    elif format_name == "TIFF":
        _check_tiff(data)
    image = _open(data, format_name)
    check_pixels(*image.size, limits)
    if image.tile and image.tile[0].codec_name == _SLOW_CODEC:
        check_pixels(*image.size, Limits(max_pixels=_MAX_SLOW_PIXELS))
    return image


def sniff(data: bytes) -> str:
    """The format of a file by its first bytes: JPEG, PNG, WEBP, BMP, GIF or TIFF. Raises ImageError."""
    for entry in FORMATS:
        if entry.first_bytes.match(data):
            return entry.name
    found = _recognise(data)
    if found:
        raise ImageError(
            f"the file is {found}; {FORMAT_TITLES} are read", reason="IMAGE_FORMAT_NOT_ALLOWED", field="image"
        )
    raise ImageError(
        f"the file is not an image; {FORMAT_TITLES} are read", reason="IMAGE_UNRECOGNISED", field="image"
    )


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raises LimitExceeded where an image of this size is too large, ImageError where it is empty."""
    if width < 1 or height < 1:
        raise ImageError(f"the image is {width}x{height} pixels", field="image")
    if width * height > limits.max_pixels:
        raise LimitExceeded(
            f"the image is {width}x{height}, more than the {limits.max_pixels:,} pixels allowed",
            reason="IMAGE_TOO_MANY_PIXELS",
            field="image",
        )
    if max(width, height) > _MAX_SIDE:
        raise LimitExceeded(
            f"the image is {width}x{height}, more than {_MAX_SIDE:,} pixels on a side",
            reason="IMAGE_TOO_MANY_PIXELS",
            field="image",
        )


def _check_webp(data: bytes, limits: Limits) -> None:
    """Before it is opened: Pillow's decoder takes memory for a WebP as soon as it sees it."""
    check_pixels(*_webp_size(data), limits)
    if len(data) < int.from_bytes(data[4:8], "little") + 8:
        raise ImageError("the WEBP is cut off", reason="IMAGE_TRUNCATED", field="image")


def _check_jpeg(data: bytes) -> None:
    scans = 0
    for segments, marker in enumerate(jpeg_markers(data), start=1):
        scans += marker == START_OF_SCAN
        if scans > _MAX_JPEG_SCANS or segments > _MAX_JPEG_SEGMENTS:
            raise LimitExceeded(
                f"the JPEG has more than {_MAX_JPEG_SCANS} scans or {_MAX_JPEG_SEGMENTS} segments",
                reason="IMAGE_TOO_MANY_SCANS",
                field="image",
            )


def _check_tiff(data: bytes) -> None:
    try:
        longest = longest_list(data)
    except struct.error as error:
        raise ImageError("the header of the TIFF is broken or cut off", field="image") from error
    if longest > _MAX_TIFF_LIST:
        raise LimitExceeded(
            f"the TIFF is cut into more than {_MAX_TIFF_LIST:,} strips, or lists as many other numbers",
            reason="IMAGE_TOO_MANY_STRIPS",
            field="image",
        )


def _open(data: bytes, format_name: str) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=[format_name])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitExceeded(
            "the image has more pixels than are allowed", reason="IMAGE_TOO_MANY_PIXELS", field="image"
        ) from error
    # Pillow's parsers raise whatever a broken header makes them stumble over: OSError, SyntaxError,
    # struct.error, KeyError, OverflowError and more. All of them mean one thing here.
    except Exception as error:
        raise ImageError(f"the header of the {format_name} is broken or cut off", field="image") from error


def _recognise(data: bytes) -> str:
    for magic, name in _RECOGNISED:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video or HEIF file")
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<"):
        for tag, name in _MARKUP:
            if tag in start:
                return name
    return ""


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) by RFC 9649, sections 2.5 to 2.7. Raises ImageError."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageError("the header of the WebP is broken or cut off", field="image")
