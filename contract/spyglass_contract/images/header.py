"""The header of an image file: its format by the first bytes, and the limits, before anything is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.images.containers import bmp, gif, jpeg, png, tiff, webp
from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.formats import FORMAT_TITLES, FORMATS, PLUGINS
from spyglass_contract.images.limits import Limits as Limits
from spyglass_contract.images.limits import check_pixels as check_pixels
from spyglass_contract.images.refusals import broken_header

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

# By Pillow's name of the format: what finds the parts that decoding needs.
_READERS: dict[str, Callable[[bytes, Limits], Container]] = {
    "JPEG": jpeg.read,
    "PNG": png.read,
    "WEBP": webp.read,
    "BMP": bmp.read,
    "GIF": gif.read,
    "TIFF": tiff.read,
}


def open_header(data: bytes, limits: Limits) -> Image.Image:
    """Open a file as far as its header, without decoding it or taking memory for its pixels.

    Profiles, texts and EXIF are not there to be read from it. Raises as `read_container` does.
    """
    return open_part(read_container(data, limits), 0)


def read_container(data: bytes, limits: Limits) -> Container:
    """Find the parts of a file that decoding needs, without decoding it or taking memory for its pixels.

    Raises ImageError if it is not an image in one of the FORMATS or of a kind that is not read, and
    LimitExceeded if it has more bytes or pixels than `limits` allow, a side of more than 65,500 pixels, or
    more segments, chunks, blocks, strips or scans than its format's module allows.
    """
    if not data:
        raise ImageError("the image has no bytes", reason="IMAGE_EMPTY", field="image")
    if len(data) > limits.max_bytes:
        raise LimitExceeded(
            f"the image has {len(data):,} bytes; the limit is {limits.max_bytes:,}",
            reason="IMAGE_TOO_MANY_BYTES",
            field="image",
        )
    return _READERS[sniff(data)](data, limits)


def open_part(container: Container, index: int) -> Image.Image:
    """Return a part of a file as Pillow's image, opened and not loaded.

    Raises ImageError if Pillow cannot read its header, or finds another size than this package has checked.
    """
    plugin = PLUGINS[container.format_name]
    try:
        # Not Image.open, whose own limit of pixels prints warnings.
        image: Image.Image = plugin(io.BytesIO(container.parts[index]))
    # A broken header makes Pillow's parsers raise OSError, SyntaxError, struct.error, KeyError,
    # OverflowError and more. All of them mean the same here.
    except Exception as error:
        raise broken_header(container.format_name) from error
    if image.size != (container.width, container.height):
        raise broken_header(container.format_name)
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
