"""The directory of a TIFF, by TIFF 6.0, section 2: read the entries that pixels need; write them again."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum

from spyglass_contract.images.refusals import broken_header, too_many

# One number for each strip or tile. Pillow makes an object of each.
MAX_LIST = 65_536
_MAX_ENTRIES = 4096

Numbers = tuple[int, ...]
Directory = Mapping[int, Numbers | bytes]


class Tag(IntEnum):
    """The entries that are read; every other one is skipped."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    MAX_SAMPLE = 281
    PLANAR = 284
    GROUP3_OPTIONS = 292
    GROUP4_OPTIONS = 293
    PREDICTOR = 317
    COLOR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532


_TAGS = frozenset(Tag)
# Codes of struct for the integer types; the types of 1 byte come as bytes for JPEG_TABLES only.
_INTEGERS = {1: "B", 3: "H", 4: "L"}
_UNDEFINED, _LONG, _RATIONAL = 7, 4, 5
_RATIONALS = (Tag.YCBCR_COEFFICIENTS, Tag.REFERENCE_BLACK_WHITE)
# What a directory says of itself with 16 bits, so that decoders do not warn of the type.
_SHORTS = frozenset(Tag) - {
    Tag.WIDTH,
    Tag.HEIGHT,
    Tag.STRIP_OFFSETS,
    Tag.STRIP_BYTES,
    Tag.ROWS_PER_STRIP,
    Tag.TILE_WIDTH,
    Tag.TILE_HEIGHT,
    Tag.TILE_OFFSETS,
    Tag.TILE_BYTES,
    Tag.GROUP3_OPTIONS,
    Tag.GROUP4_OPTIONS,
    Tag.JPEG_TABLES,
    *_RATIONALS,
}


# Entries of one number: decoders warn of more.
_SINGLE = frozenset(
    {
        Tag.WIDTH,
        Tag.HEIGHT,
        Tag.COMPRESSION,
        Tag.PHOTOMETRIC,
        Tag.FILL_ORDER,
        Tag.ORIENTATION,
        Tag.SAMPLES,
        Tag.ROWS_PER_STRIP,
        Tag.PLANAR,
        Tag.GROUP3_OPTIONS,
        Tag.GROUP4_OPTIONS,
        Tag.PREDICTOR,
        Tag.TILE_WIDTH,
        Tag.TILE_HEIGHT,
        Tag.INK_SET,
    }
)


def read_directory(data: bytes) -> dict[int, Numbers | bytes]:
    """Return the known entries of the first directory: integers as a tuple, tables and fractions as bytes.

    Raises LimitExceeded above 65,536 numbers in an entry or 4,096 entries, ImageError if there is no
    directory.
    """
    order = byte_order(data)
    try:
        (start,) = struct.unpack_from(f"{order}L", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
    except struct.error as error:
        raise broken_header("TIFF") from error
    count = min(count, (len(data) - start - 2) // 12)
    if count > _MAX_ENTRIES:
        raise too_many("TIFF", "IMAGE_TOO_MANY_ENTRIES", _MAX_ENTRIES, "directory entries", "save it again")
    found: dict[int, Numbers | bytes] = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(f"{order}H", data, at)
        if tag in _TAGS and tag not in found:
            value = _value(data, order, at)
            if value:
                found[tag] = value[:1] if tag in _SINGLE else value
    if not found:
        raise broken_header("TIFF")
    return found


def byte_order(data: bytes) -> str:
    """Return struct's letter for the byte order of a TIFF."""
    return "<" if data.startswith(b"II") else ">"


def with_directory(data: bytes, directory: Directory, order: str) -> bytes:
    """Return the TIFF with another directory, and no further ones. Its pixels stay where they are.

    `order` is struct's letter for the byte order that the file then states.
    """
    start = len(data) + len(data) % 2
    entries = sorted(directory.items())
    after = start + 2 + 12 * len(entries) + 4
    fields, lists = [struct.pack(f"{order}H", len(entries))], []
    for tag, value in entries:
        kind, count, content = _encode(order, tag, value)
        if len(content) > 4:
            fields.append(struct.pack(f"{order}HHLL", tag, kind, count, after))
            content += b"\0" * (len(content) % 2)
            lists.append(content)
            after += len(content)
        else:
            fields.append(struct.pack(f"{order}HHL", tag, kind, count) + content.ljust(4, b"\0"))
    view = memoryview(data)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", start)
    return b"".join((head, view[8:], b"\0" * (len(data) % 2), *fields, bytes(4), *lists))


def _value(data: bytes, order: str, at: int) -> Numbers | bytes:
    """Return the value of the entry at `at`; nothing if its type is unexpected or it is not in the file."""
    tag, kind, count = struct.unpack_from(f"{order}HHL", data, at)
    if tag == Tag.JPEG_TABLES and kind in (1, _UNDEFINED):
        size, code = count, ""
    elif tag in _RATIONALS and kind == _RATIONAL and count <= 6:
        size, code = 8 * count, ""
    elif kind in _INTEGERS:
        code = _INTEGERS[kind]
        size = struct.calcsize(order + code) * count
    else:
        return ()
    start = at + 8 if size <= 4 else struct.unpack_from(f"{order}L", data, at + 8)[0]
    if start + size > len(data):
        return ()
    if count > MAX_LIST:
        raise too_many(
            "TIFF", "IMAGE_TOO_MANY_STRIPS", MAX_LIST, "strips or tiles", "save it again with larger ones"
        )
    return struct.unpack_from(f"{order}{count}{code}", data, start) if code else data[start : start + size]


def _encode(order: str, tag: int, value: Numbers | bytes) -> tuple[int, int, bytes]:
    if isinstance(value, bytes):
        return (_RATIONAL, len(value) // 8, value) if tag in _RATIONALS else (_UNDEFINED, len(value), value)
    if tag in _SHORTS and max(value) < 2**16:
        return 3, len(value), struct.pack(f"{order}{len(value)}H", *value)
    return _LONG, len(value), struct.pack(f"{order}{len(value)}L", *value)


def first(directory: Directory, tag: Tag, default: int) -> int:
    """Return the first number of an entry, or `default` if there is none."""
    value: Sequence[int] = directory.get(tag, ())
    return value[0] if value else default
