"""The kinds of TIFF that are read, by TIFF 6.0; every other one is refused by name.

A test compares the pixels of each kind with those of a second reader.
"""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_contract.images.containers.tiff_directory import Directory, Numbers, Tag, first
from spyglass_contract.images.refusals import broken_header, unsupported_color, unsupported_kind

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
# Samples a pixel that are colours, by photometric interpretation.
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
UNCOMPRESSED, JPEG, LZMA = 1, 7, 34925
_ANY, ASSOCIATED, UNASSOCIATED = 0, 1, 2
CHUNKY, _PLANAR = 1, 2

_OTHER_COLORS = {4: "a mask", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "raw sensor data"}
_GREY_BITS = (1, 2, 4, 8, 12, 16)
_PALETTE_BITS = (1, 2, 4, 8)
_CCITT = (2, 3, 4)
_COMPRESSIONS = (UNCOMPRESSED, *_CCITT, 5, JPEG, 8, 32773, 32946, LZMA, 50000)


@dataclass(frozen=True)
class Layout:
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


def read_layout(directory: Directory) -> Layout:
    """Return how the samples are stored. Raises ImageError for other colours or a broken directory."""
    photometric = first(directory, Tag.PHOTOMETRIC, WHITE_IS_ZERO)
    colors = COLORS.get(photometric)
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
    return Layout(
        first(directory, Tag.WIDTH, 0),
        first(directory, Tag.HEIGHT, 0),
        photometric,
        each.pop(),
        samples,
        extra + (_missing_extra(colors, samples, extra),) * (samples - colors - len(extra)),
        first(directory, Tag.COMPRESSION, UNCOMPRESSED),
        first(directory, Tag.PLANAR, CHUNKY) == _PLANAR and samples > 1,
    )


def check_kind(directory: Directory, layout: Layout) -> None:
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
    if layout.photometric == PALETTE:
        allowed: tuple[int, ...] = _PALETTE_BITS
    elif layout.samples == 1 and layout.photometric != YCBCR:
        allowed = _GREY_BITS
    else:
        allowed = (8,) if layout.photometric == YCBCR or layout.compression == JPEG else (8, 16)
    if layout.bits not in allowed or (layout.compression == JPEG and layout.bits != 8):
        raise unsupported_kind("TIFF", f"of {layout.samples} samples of {layout.bits} bits")
    if layout.compression in _CCITT and (layout.bits, layout.samples) != (1, 1):
        raise unsupported_kind("TIFF", "with fax compression of more than one bit a pixel")
    if first(directory, Tag.FILL_ORDER, 1) == 2 and (layout.bits > 8 or layout.samples > 1):
        raise unsupported_kind("TIFF", "whose bits run backwards (FillOrder 2)")
    if layout.photometric == CMYK and first(directory, Tag.INK_SET, 1) != 1:
        raise unsupported_kind("TIFF", "of inks other than CMYK")
    # Without the entry the colours are subsampled by two each way.
    subsampled = tuple(directory.get(Tag.YCBCR_SUBSAMPLING, (2, 2))) != (1, 1)
    if layout.photometric == YCBCR and layout.compression != JPEG and subsampled:
        raise unsupported_kind("TIFF", "of subsampled YCbCr without JPEG compression")
    if not layout.planar:
        _check_extra(layout)


def used_bits(directory: Directory, layout: Layout) -> int:
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


def _missing_extra(colors: int, samples: int, extra: Numbers) -> int:
    """Return what a further sample means if the file does not say: the fourth beside RGB is alpha."""
    return UNASSOCIATED if colors == 3 and samples == 4 and not extra else _ANY


def _check_extra(layout: Layout) -> None:
    """Raise ImageError if Pillow cannot take the colours out of pixels with further samples between them."""
    extra = layout.extra
    if not extra:
        return
    alpha, rest = extra[0] in (ASSOCIATED, UNASSOCIATED), extra[1:]
    if any(rest) or layout.compression == JPEG:
        known = False
    elif layout.photometric == RGB:
        known = len(extra) <= 3 if layout.bits == 8 else len(extra) == 1
    elif layout.photometric == BLACK_IS_ZERO:
        known = layout.bits == 8 and len(extra) == 1
    elif layout.photometric == CMYK:
        known = layout.bits == 8 and len(extra) <= 2 and not alpha
    elif layout.photometric == PALETTE:
        known = layout.bits == 8 and len(extra) == 1 and extra[0] != ASSOCIATED
    else:
        known = False
    if not known:
        raise unsupported_kind(
            "TIFF",
            f"of {layout.samples} samples of {layout.bits} bits, {len(extra)} of them beside the colours",
        )
