"""The one table of the image formats that are read. Start here to add a format."""

from __future__ import annotations

import re
from dataclasses import dataclass

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)


@dataclass(frozen=True)
class Format:
    """An image format: how to recognise it and which decoder reads it."""

    # For people.
    title: str
    # Pillow's name of the format, and its class for files of it.
    name: str
    plugin: type[ImageFile.ImageFile]
    # Matches the start of every file of this format.
    first_bytes: re.Pattern[bytes]
    # Lower-case, with the dot; the usual one first.
    suffixes: tuple[str, ...]


FORMATS = (
    Format(
        "JPEG",
        "JPEG",
        JpegImagePlugin.JpegImageFile,
        re.compile(rb"\xff\xd8\xff"),
        (".jpg", ".jpeg", ".jpe", ".jfif"),
    ),
    Format("PNG", "PNG", PngImagePlugin.PngImageFile, re.compile(rb"\x89PNG\r\n\x1a\n"), (".png",)),
    Format(
        "WebP", "WEBP", WebPImagePlugin.WebPImageFile, re.compile(rb"RIFF.{4}WEBP", re.DOTALL), (".webp",)
    ),
    Format("BMP", "BMP", BmpImagePlugin.BmpImageFile, re.compile(rb"BM"), (".bmp",)),
    Format("GIF", "GIF", GifImagePlugin.GifImageFile, re.compile(rb"GIF8[79]a"), (".gif",)),
    Format(
        "TIFF", "TIFF", TiffImagePlugin.TiffImageFile, re.compile(rb"II\*\x00|MM\x00\*"), (".tif", ".tiff")
    ),
)

PLUGINS = {entry.name: entry.plugin for entry in FORMATS}
"""Pillow's class of each format, by Pillow's name."""

IMAGE_SUFFIXES = frozenset(suffix for entry in FORMATS for suffix in entry.suffixes)
"""The suffixes of files that are taken for images when a folder is searched, lower-case with the dot."""

*_OTHERS, _LAST = (entry.title for entry in FORMATS)
FORMAT_TITLES = f"{', '.join(_OTHERS)} or {_LAST}"
"""All formats as a text for messages: "JPEG, PNG, … or TIFF"."""
