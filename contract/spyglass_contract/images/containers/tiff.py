"""TIFF 6.0: which kinds are read, and how each is given to the decoder.

Pillow decodes some kinds to other pixels than were stored, without an error: 16 bits with white as zero, 12
bits, 16 bits in colour planes, signed samples. So only the kinds that a second reader confirms are read, the
directory is written anew in a form that Pillow decodes rightly, and every other kind is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_contract.images.containers import jpeg
from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.containers.tiff_directory import (
    Directory,
    Numbers,
    Tag,
    byte_order,
    first,
    read_directory,
    with_directory,
)
from spyglass_contract.images.limits import Limits, check_pixels
from spyglass_contract.images.orientation import known_orientation
from spyglass_contract.images.refusals import (
    broken_header,
    cut_off,
    too_many,
    too_slow,
    unsupported_color,
    unsupported_kind,
)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_OTHER_COLORS = {4: "a mask", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "raw sensor data"}
_GREY_BITS = (1, 2, 4, 8, 12, 16)
_PALETTE_BITS = (1, 2, 4, 8)
_MODES = {_WHITE_IS_ZERO: "L", _BLACK_IS_ZERO: "L", _RGB: "RGB", _CMYK: "CMYK", _YCBCR: "YCbCr"}

_UNCOMPRESSED, _JPEG = 1, 7
_CCITT = (2, 3, 4)
_COMPRESSIONS = (_UNCOMPRESSED, *_CCITT, 5, _JPEG, 8, 32773, 32946, 34925, 50000)
# LZMA is the slowest of them: 0.1 s a megabyte.
_LZMA = 34925
MAX_LZMA_BYTES = 8 * 1024 * 1024
# Samples take up to 4 ns a byte, in planes 5.5 ns, with all that follows.
MAX_SAMPLE_BYTES, MAX_PLANE_BYTES = 384 * 1024 * 1024, 256 * 1024 * 1024
MAX_JPEG_SEGMENTS = 262_144

# What this module and the decode apply themselves.
_DROPPED = (Tag.ORIENTATION, Tag.INK_SET, Tag.MAX_SAMPLE)

_ANY, _ASSOCIATED, _UNASSOCIATED = 0, 1, 2
_CHUNKY, _PLANAR = 1, 2


@dataclass(frozen=True)
class _Layout:
    """How the samples of a TIFF are stored."""

    width: int
    height: int
    photometric: int
    bits: int
    samples: int
    # The meaning of the samples after the colours.
    extra: Numbers
    compression: int
    planar: bool


def read(data: bytes, limits: Limits) -> Container:
    """Return the first page of the TIFF with a new directory, in one part or in one for each colour plane.

    Raises LimitExceeded above 65,536 strips or tiles, or if these overlap; ImageError if the header is broken
    or the kind is not read.
    """
    directory = read_directory(data)
    layout = _layout(directory)
    check_pixels(layout.width, layout.height, limits)
    _check_kind(directory, layout)
    _check_work(layout)
    used_bits = _used_bits(directory, layout)
    white_is_zero = layout.photometric == _WHITE_IS_ZERO and (layout.bits > 8 or layout.planar)
    fields = {tag: value for tag, value in directory.items() if tag not in _DROPPED}
    fields |= _strips(data, directory, layout)
    fields[Tag.PHOTOMETRIC] = (_BLACK_IS_ZERO if white_is_zero else layout.photometric,)
    fields[Tag.BITS] = (layout.bits,) * layout.samples
    fields[Tag.SAMPLES] = (layout.samples,)
    fields[Tag.PLANAR] = (_CHUNKY,)
    fields.pop(Tag.SAMPLE_FORMAT, None)
    if layout.photometric == _PALETTE:
        colors = 3 << layout.bits
        if len(fields.get(Tag.COLOR_MAP, ())) < colors:
            raise broken_header("TIFF")
        fields[Tag.COLOR_MAP] = fields[Tag.COLOR_MAP][:colors]
    else:
        fields.pop(Tag.COLOR_MAP, None)
    if layout.extra:
        fields[Tag.EXTRA_SAMPLES] = layout.extra
    else:
        fields.pop(Tag.EXTRA_SAMPLES, None)
    planes = ""
    parts: tuple[Directory, ...] = (fields,)
    if layout.planar:
        planes, parts = _planes(fields, layout)
    # Twelve bits are packed alike in either order, and Pillow knows them in one.
    order = "<" if layout.bits == 12 else byte_order(data)
    return Container(
        "TIFF",
        layout.width,
        layout.height,
        tuple(with_directory(data, part, order) for part in parts),
        known_orientation(first(directory, Tag.ORIENTATION, 1)),
        planes=planes,
        bits=used_bits,
        white_is_zero=white_is_zero,
    )


def _layout(directory: Directory) -> _Layout:
    photometric = first(directory, Tag.PHOTOMETRIC, _WHITE_IS_ZERO)
    colors = _COLORS.get(photometric)
    if colors is None:
        name = _OTHER_COLORS.get(photometric, f"photometric interpretation {photometric}")
        raise unsupported_color("TIFF", name)
    bits = directory.get(Tag.BITS, (1,))
    samples = first(directory, Tag.SAMPLES, 1)
    if Tag.WIDTH not in directory or Tag.HEIGHT not in directory or samples < colors:
        raise broken_header("TIFF")
    if samples > 64:
        raise unsupported_kind("TIFF", f"of {samples} samples a pixel")
    # Files may state the bits once for all samples.
    each = set(bits[:samples])
    if len(each) != 1:
        raise unsupported_kind("TIFF", "whose samples differ in their bits")
    extra = tuple(directory.get(Tag.EXTRA_SAMPLES, ()))[: samples - colors]
    return _Layout(
        first(directory, Tag.WIDTH, 0),
        first(directory, Tag.HEIGHT, 0),
        photometric,
        each.pop(),
        samples,
        extra + (_missing_extra(colors, samples, extra),) * (samples - colors - len(extra)),
        first(directory, Tag.COMPRESSION, _UNCOMPRESSED),
        first(directory, Tag.PLANAR, _CHUNKY) == _PLANAR and samples > 1,
    )


def _missing_extra(colors: int, samples: int, extra: Numbers) -> int:
    """Return what a further sample means if the file does not say: the fourth beside RGB is alpha."""
    return _UNASSOCIATED if colors == 3 and samples == 4 and not extra else _ANY


def _check_kind(directory: Directory, layout: _Layout) -> None:
    """Raise ImageError if the kind is not in the table of docs/images.md."""
    formats = set(directory.get(Tag.SAMPLE_FORMAT, (1,)))
    if formats != {1}:
        names = {2: "signed", 3: "floating-point", 4: "untyped"}
        name = names.get(next(iter(formats - {1})), "complex")
        raise unsupported_color("TIFF", f"{name} samples of {layout.bits} bits")
    if layout.compression not in _COMPRESSIONS:
        raise unsupported_kind("TIFF", f"with compression {layout.compression}")
    if layout.bits == 32 or layout.bits == 64:
        raise unsupported_color("TIFF", f"samples of {layout.bits} bits")
    if layout.photometric == _PALETTE:
        allowed: tuple[int, ...] = _PALETTE_BITS
    elif layout.samples == 1 and layout.photometric != _YCBCR:
        allowed = _GREY_BITS
    else:
        allowed = (8,) if layout.photometric == _YCBCR or layout.compression == _JPEG else (8, 16)
    if layout.bits not in allowed or (layout.compression == _JPEG and layout.bits != 8):
        raise unsupported_kind("TIFF", f"of {layout.samples} samples of {layout.bits} bits")
    if layout.compression in _CCITT and (layout.bits, layout.samples) != (1, 1):
        raise unsupported_kind("TIFF", "with fax compression of more than one bit a pixel")
    if first(directory, Tag.FILL_ORDER, 1) == 2 and (layout.bits > 8 or layout.samples > 1):
        raise unsupported_kind("TIFF", "whose bits run backwards (FillOrder 2)")
    if layout.photometric == _CMYK and first(directory, Tag.INK_SET, 1) != 1:
        raise unsupported_kind("TIFF", "of inks other than CMYK")
    # Without the entry the colours are subsampled by two each way.
    subsampled = tuple(directory.get(Tag.YCBCR_SUBSAMPLING, (2, 2))) != (1, 1)
    if layout.photometric == _YCBCR and layout.compression != _JPEG and subsampled:
        raise unsupported_kind("TIFF", "of subsampled YCbCr without JPEG compression")
    if not layout.planar:
        _check_extra(layout)


def _check_work(layout: _Layout) -> None:
    # Of further samples in planes only an alpha channel is decoded.
    decoded = min(layout.samples, _COLORS[layout.photometric] + 1) if layout.planar else layout.samples
    sample_bytes = layout.width * layout.height * decoded * layout.bits // 8
    limit = MAX_PLANE_BYTES if layout.planar else MAX_SAMPLE_BYTES
    if sample_bytes > limit:
        raise too_slow(
            "TIFF",
            f"has {sample_bytes:,} bytes of samples; the limit is {limit:,}: save it with 8 bits a sample, "
            "and not in planes",
        )


def _used_bits(directory: Directory, layout: _Layout) -> int:
    """Return how many bits of a sample are used: fewer than 16 if the greatest sample is stated as 2ⁿ - 1.

    So cameras and microscopes store 10, 12 or 14 bits in 16. Raises ImageError if Pillow cannot decode all 16
    bits of the samples.
    """
    greatest = set(directory.get(Tag.MAX_SAMPLE, ()))
    used = next((bits for bits in range(9, 16) if greatest == {2**bits - 1}), layout.bits)
    if layout.bits != 16 or used == 16:
        return layout.bits
    if layout.samples > 1 and not layout.planar:
        raise unsupported_kind("TIFF", f"of {layout.samples} samples of 16 bits, {used} of them used")
    return used


def _check_extra(layout: _Layout) -> None:
    """Raise ImageError if Pillow cannot take the colours out of pixels with further samples between them."""
    extra = layout.extra
    if not extra:
        return
    alpha, rest = extra[0] in (_ASSOCIATED, _UNASSOCIATED), extra[1:]
    if any(rest) or layout.compression == _JPEG:
        known = False
    elif layout.photometric == _RGB:
        known = len(extra) <= 3 if layout.bits == 8 else len(extra) == 1
    elif layout.photometric == _BLACK_IS_ZERO:
        known = layout.bits == 8 and len(extra) == 1
    elif layout.photometric == _CMYK:
        known = layout.bits == 8 and len(extra) <= 2 and not alpha
    elif layout.photometric == _PALETTE:
        known = layout.bits == 8 and len(extra) == 1 and extra[0] != _ASSOCIATED
    else:
        known = False
    if not known:
        raise unsupported_kind(
            "TIFF",
            f"of {layout.samples} samples of {layout.bits} bits, {len(extra)} of them beside the colours",
        )


def _strips(data: bytes, directory: Directory, layout: _Layout) -> dict[int, Numbers | bytes]:
    """Return the entries of strips or tiles, as many as the image needs, and bound the work for them."""
    tiled = Tag.TILE_OFFSETS in directory
    if tiled:
        width, height = first(directory, Tag.TILE_WIDTH, 0), first(directory, Tag.TILE_HEIGHT, 0)
    else:
        width = layout.width
        height = min(first(directory, Tag.ROWS_PER_STRIP, layout.height), layout.height)
    if not 0 < width <= 65_535 or not 0 < height <= 65_535 or not layout.width or not layout.height:
        raise broken_header("TIFF")
    across, down = -(-layout.width // width), -(-layout.height // height)
    needed = across * down * (layout.samples if layout.planar else 1)
    offsets_tag, bytes_tag = (
        (Tag.TILE_OFFSETS, Tag.TILE_BYTES) if tiled else (Tag.STRIP_OFFSETS, Tag.STRIP_BYTES)
    )
    offsets, sizes = directory.get(offsets_tag, ()), directory.get(bytes_tag, ())
    assert not isinstance(offsets, bytes) and not isinstance(sizes, bytes)
    if len(offsets) < needed:
        raise broken_header("TIFF")
    offsets, sizes = offsets[:needed], sizes[:needed]
    if layout.compression == _UNCOMPRESSED:
        row = -(-width * layout.bits * (1 if layout.planar else layout.samples) // 8)
        sizes = tuple(
            row * min(height, layout.height - index // across % down * height) for index in range(needed)
        )
    elif needed == 1 and not sizes:
        sizes = (max(len(data) - offsets[0], 0),)
    if len(sizes) < needed:
        raise broken_header("TIFF")
    _check_strips(data, directory, offsets, sizes, layout, width * height)
    entries: dict[int, Numbers | bytes] = {offsets_tag: offsets, bytes_tag: sizes}
    if not tiled:
        entries[Tag.ROWS_PER_STRIP] = (height,)
    return entries


def _check_strips(
    data: bytes, directory: Directory, offsets: Numbers, sizes: Numbers, layout: _Layout, pixels: int
) -> None:
    if any(offset + size > len(data) for offset, size in zip(offsets, sizes, strict=True)):
        raise cut_off("TIFF")
    if pixels * len(offsets) > 4 * max(layout.width * layout.height * layout.samples, 1024 * 1024):
        raise too_slow("TIFF", "has tiles that are far larger than its image")
    if layout.compression == _UNCOMPRESSED:
        return
    total = sum(sizes)
    if total > len(data):
        raise too_slow("TIFF", "has strips or tiles that share the same bytes")
    if layout.compression == _LZMA and total > MAX_LZMA_BYTES:
        raise too_slow("TIFF", f"has {total:,} bytes of LZMA data; the limit is {MAX_LZMA_BYTES:,}")
    if layout.compression == _JPEG:
        if len(directory.get(Tag.JPEG_TABLES, b"")) > jpeg.MAX_TABLE_BYTES:
            raise too_many(
                "TIFF",
                "IMAGE_TOO_MANY_SEGMENTS",
                jpeg.MAX_TABLE_BYTES,
                "bytes of JPEG tables",
                "save it again",
            )
        segments = scanned = 0
        for offset, size in zip(offsets, sizes, strict=True):
            more, work = jpeg.check_strip(data[offset : offset + size], pixels)
            segments, scanned = segments + more, scanned + work
            if segments > MAX_JPEG_SEGMENTS:
                raise too_many(
                    "TIFF", "IMAGE_TOO_MANY_SEGMENTS", MAX_JPEG_SEGMENTS, "JPEG segments", "save it again"
                )
            if scanned > jpeg.MAX_SCANNED_PIXELS:
                raise too_slow("TIFF", "has too many progressive JPEG scans for its pixels")


def _planes(fields: Directory, layout: _Layout) -> tuple[str, tuple[dict[int, Numbers | bytes], ...]]:
    """Return the mode of the merged planes, and the directory of a grey TIFF for each of them."""
    mode = _MODES.get(layout.photometric)
    colors = _COLORS[layout.photometric]
    alpha = next((at for at, kind in enumerate(layout.extra) if kind in (_ASSOCIATED, _UNASSOCIATED)), None)
    if mode is None:
        raise unsupported_kind("TIFF", "of a palette in planes")
    wanted = list(range(colors))
    if alpha is not None:
        if mode not in ("L", "RGB"):
            raise unsupported_kind("TIFF", f"of {mode} with an alpha channel, in planes")
        if layout.photometric == _WHITE_IS_ZERO:
            raise unsupported_kind("TIFF", "with white as zero and an alpha channel")
        mode += "a" if layout.extra[alpha] == _ASSOCIATED else "A"
        wanted.append(colors + alpha)
    offsets_tag = Tag.TILE_OFFSETS if Tag.TILE_OFFSETS in fields else Tag.STRIP_OFFSETS
    bytes_tag = Tag.TILE_BYTES if Tag.TILE_OFFSETS in fields else Tag.STRIP_BYTES
    offsets, sizes = fields[offsets_tag], fields[bytes_tag]
    each = len(offsets) // layout.samples
    kept = {tag: value for tag, value in fields.items() if tag != Tag.EXTRA_SAMPLES}
    kept |= {
        Tag.PHOTOMETRIC: (_BLACK_IS_ZERO,),
        Tag.BITS: (layout.bits,),
        Tag.SAMPLES: (1,),
        Tag.PLANAR: (_CHUNKY,),
    }
    return mode, tuple(
        {
            **kept,
            offsets_tag: offsets[at * each : (at + 1) * each],
            bytes_tag: sizes[at * each : (at + 1) * each],
        }
        for at in wanted
    )
