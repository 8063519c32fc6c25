"""TIFF 6.0: the first page, given to the decoder in a form that it decodes rightly.

Pillow decodes some kinds to other pixels than were stored, without an error: 16 bits with white as zero, 12
bits, 16 bits in colour planes, signed samples. So the directory is written anew, and colour planes are
decoded one by one.
"""

from __future__ import annotations

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
from spyglass_contract.images.containers.tiff_kinds import (
    ASSOCIATED,
    BLACK_IS_ZERO,
    CHUNKY,
    CMYK,
    COLORS,
    PALETTE,
    RGB,
    UNASSOCIATED,
    WHITE_IS_ZERO,
    YCBCR,
    Layout,
    check_kind,
    read_layout,
    used_bits,
)
from spyglass_contract.images.containers.tiff_strips import strip_entries
from spyglass_contract.images.limits import Limits, check_pixels
from spyglass_contract.images.orientation import known_orientation
from spyglass_contract.images.refusals import broken_header, too_slow, unsupported_kind

# Samples take up to 4 ns a byte, in planes 5.5 ns, with all that follows.
MAX_SAMPLE_BYTES, MAX_PLANE_BYTES = 384 * 1024 * 1024, 256 * 1024 * 1024

# What this module and the decode apply themselves.
_DROPPED = (Tag.ORIENTATION, Tag.INK_SET, Tag.MAX_SAMPLE)
# Pillow's mode of the colours, if they are stored in planes.
_MODES = {WHITE_IS_ZERO: "L", BLACK_IS_ZERO: "L", RGB: "RGB", CMYK: "CMYK", YCBCR: "YCbCr"}


def read(data: bytes, limits: Limits) -> Container:
    """Return the first page of the TIFF with a new directory, in one part or in one for each colour plane.

    Raises LimitExceeded above 65,536 strips or tiles, or if these overlap; ImageError if the header is broken
    or the kind is not read.
    """
    directory = read_directory(data)
    layout = read_layout(directory)
    check_pixels(layout.width, layout.height, limits)
    check_kind(directory, layout)
    _check_work(layout)
    bits = used_bits(directory, layout)
    white_is_zero = layout.photometric == WHITE_IS_ZERO and (layout.bits > 8 or layout.planar)
    fields = {tag: value for tag, value in directory.items() if tag not in _DROPPED}
    fields |= strip_entries(data, directory, layout)
    fields[Tag.PHOTOMETRIC] = (BLACK_IS_ZERO if white_is_zero else layout.photometric,)
    fields[Tag.BITS] = (layout.bits,) * layout.samples
    fields[Tag.SAMPLES] = (layout.samples,)
    fields[Tag.PLANAR] = (CHUNKY,)
    fields.pop(Tag.SAMPLE_FORMAT, None)
    if layout.photometric == PALETTE:
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
        bits=bits,
        white_is_zero=white_is_zero,
    )


def _check_work(layout: Layout) -> None:
    # Of further samples in planes only an alpha channel is decoded.
    decoded = min(layout.samples, COLORS[layout.photometric] + 1) if layout.planar else layout.samples
    sample_bytes = layout.width * layout.height * decoded * layout.bits // 8
    limit = MAX_PLANE_BYTES if layout.planar else MAX_SAMPLE_BYTES
    if sample_bytes > limit:
        raise too_slow(
            "TIFF",
            f"has {sample_bytes:,} bytes of samples; the limit is {limit:,}: save it with 8 bits a sample, "
            "and not in planes",
        )


def _planes(fields: Directory, layout: Layout) -> tuple[str, tuple[dict[int, Numbers | bytes], ...]]:
    """Return the mode of the merged planes, and the directory of a grey TIFF for each of them."""
    mode = _MODES.get(layout.photometric)
    colors = COLORS[layout.photometric]
    alpha = next((at for at, kind in enumerate(layout.extra) if kind in (ASSOCIATED, UNASSOCIATED)), None)
    if mode is None:
        raise unsupported_kind("TIFF", "of a palette in planes")
    wanted = list(range(colors))
    if alpha is not None:
        if mode not in ("L", "RGB"):
            raise unsupported_kind("TIFF", f"of {mode} with an alpha channel, in planes")
        if layout.photometric == WHITE_IS_ZERO:
            raise unsupported_kind("TIFF", "with white as zero and an alpha channel")
        mode += "a" if layout.extra[alpha] == ASSOCIATED else "A"
        wanted.append(colors + alpha)
    offsets_tag = Tag.TILE_OFFSETS if Tag.TILE_OFFSETS in fields else Tag.STRIP_OFFSETS
    bytes_tag = Tag.TILE_BYTES if Tag.TILE_OFFSETS in fields else Tag.STRIP_BYTES
    offsets, sizes = fields[offsets_tag], fields[bytes_tag]
    each = len(offsets) // layout.samples
    kept = {tag: value for tag, value in fields.items() if tag != Tag.EXTRA_SAMPLES}
    kept |= {
        Tag.PHOTOMETRIC: (BLACK_IS_ZERO,),
        Tag.BITS: (layout.bits,),
        Tag.SAMPLES: (1,),
        Tag.PLANAR: (CHUNKY,),
    }
    return mode, tuple(
        {
            **kept,
            offsets_tag: offsets[at * each : (at + 1) * each],
            bytes_tag: sizes[at * each : (at + 1) * each],
        }
        for at in wanted
    )
